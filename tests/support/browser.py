"""A real Chromium on the console's pages, and axe-core's findings."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
WIDE, NARROW = {"width": 1200, "height": 900}, {"width": 390, "height": 800}
IN_THE_DOCS = ("runs", "run")
SCREENSHOTS = os.environ.get("ROWFERRY_SCREENSHOTS")
"""A folder for pictures of each page that is looked at."""


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def started() -> Iterator[Browser]:
    """Skips the test where the machine has no Chromium."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium on this machine (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def findings(page: Page) -> list[str]:
    """What axe-core finds, in words: rule and place."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [
        f"{one['id']}: {one['help']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def picture(page: Page, name: str) -> None:
    """What a window shows, of the pages that docs/console.md has; the whole page of all others."""
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=name not in IN_THE_DOCS)
