"""python -m local up | down | status | env | demo"""

import argparse
import sys

from local import demo, stack
from local.processes import LocalError
from local.stack import state_folder


def say(message: str) -> None:
    print(message, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description="Rowferry on this machine")
    parser.add_argument("act", choices=["up", "down", "status", "env", "demo"])
    parser.add_argument("--rows", type=int, default=10_000, help="demo: hired employees in the sample file")
    arguments = parser.parse_args()
    try:
        return act(arguments.act, arguments.rows)
    except LocalError as error:
        print(f"rowferry: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def act(name: str, rows: int) -> int:
    folder = state_folder()
    match name:
        case "up":
            stack.up(folder, say)
            say('next: make demo, make status, eval "$(make -s env)", make down')
        case "down":
            stack.down(folder, say)
        case "env":
            print(stack.exports(folder))
        case "demo":
            return demo.run(folder, rows)
        case "status":
            lines, is_well = stack.status(folder)
            print("\n".join(lines))
            return 0 if is_well else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
