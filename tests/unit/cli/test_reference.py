"""The reference page is what the commands say of themselves."""

from cli.main import TOPICS
from cli.reference import PAGE, page


def test_the_page_of_the_command_line_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: .venv/bin/python -m cli.reference"


def test_every_command_has_an_example() -> None:
    for commands in TOPICS.values():
        for command in commands:
            assert "Example" in (command.__doc__ or ""), command.__name__
