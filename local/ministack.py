"""Starts MiniStack, corrects one of its answers, and lets it write what it holds to disk at SIGUSR1.

A throttled call gets the error name that AWS gives it.
MiniStack tells a state machine that a throttled call failed with `Lambda.Unknown`, the name that AWS gives to a
function that was cut off. Our Retry lists try that five times, and `Lambda.TooManyRequestsException` for an hour.
"""

import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

THROTTLED = "Lambda.TooManyRequestsException"
"""What Step Functions calls it on AWS."""


def with_error_name(throttle_response: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def answer(*args: Any, **kwargs: Any) -> dict[str, Any]:
        throttled = throttle_response(*args, **kwargs)
        throttled["body"].setdefault("errorType", THROTTLED)
        return throttled

    return answer


def saved_mark(state: str | Path) -> Path:
    """The file that is there when everything has been written."""
    return Path(state) / "saved"


def save(*_: object) -> None:
    """What MiniStack writes when it is stopped properly, so that a kill does not lose the deployed stack.

    Objects of a bucket are on disk as soon as they are uploaded.
    """
    app: Any = importlib.import_module("ministack.app")
    app.save_all(app._build_persistence_save_dict())
    saved_mark(os.environ["STATE_DIR"]).touch()


def main() -> None:
    """Raises: AttributeError where a later MiniStack makes its answer elsewhere."""
    signal.signal(signal.SIGUSR1, save)
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    functions._throttle_response = with_error_name(functions._throttle_response)
    importlib.import_module("ministack.app").main()


if __name__ == "__main__":
    main()
