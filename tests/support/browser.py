"""Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright


def chromium() -> str | None:
    """The program, if it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Visit:
    """A page in a browser, and what happened there that must not."""

    page: Page
    incidents: list[str] = field(default_factory=list)
    """Console messages, errors, dialogs and requests other than for the page itself."""


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium without a window. Tests may run as root, where its sandbox does not work."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), chromium_sandbox=False)
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, file: Path, width: int = 1280, scheme: Any = "light") -> Iterator[Visit]:
    """Open a file in a fresh profile."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    found = Visit(page)
    url = file.resolve().as_uri()

    def refuse(dialog: Any) -> None:
        found.incidents.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note_request(request: Any) -> None:
        if request.url != url and not request.url.startswith("data:image/jpeg;base64,"):
            found.incidents.append(f"request: {request.url[:200]}")

    page.on("console", lambda message: found.incidents.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.incidents.append(f"error: {error}"))
    page.on("dialog", refuse)
    page.on("request", note_request)
    page.goto(url)
    yield found
    context.close()
