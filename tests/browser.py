"""Chromium without a network: it reaches the server that a test is about; what else a page asks for is noted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

from infra.local import programs

#: Nothing that Chromium would fetch for itself.
_QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
#: Milliseconds for one step of a test.
_PATIENCE = 30_000
#: Colour of the text and of what is behind it, as numbers from 0 to 255.
_COLOUR = """(selector) => {
  const numbers = (text) => text.match(/[0-9.]+/g).map(Number);
  let behind = document.querySelector(selector);
  const ink = numbers(getComputedStyle(behind).color);
  while (numbers(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  return [ink, numbers(getComputedStyle(behind).backgroundColor)];
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; an event loop of its own runs in this thread meanwhile, so nothing else may need one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=programs.chromium(), args=_QUIET)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page, and what it did beside being looked at."""

    page: Page
    #: What it wanted from other servers.
    elsewhere: list[str] = field(default_factory=list)
    #: Exceptions of its scripts, and what its policy forbade.
    errors: list[str] = field(default_factory=list)


def visit(browser: Browser, url: str, path: str, **options: Any) -> Visit:
    """Open a page of the server at this URL in a window of its own, with nothing stored."""
    page = browser.new_context(base_url=url, **options).new_page()
    page.set_default_timeout(_PATIENCE)
    seen = Visit(page)

    def guard(route: Route) -> None:
        if route.request.url.startswith(f"{url}/"):
            route.continue_()
        else:
            seen.elsewhere.append(route.request.url)
            route.abort()

    def hear(message: ConsoleMessage) -> None:
        # Chromium notes each answer from 400 up by itself, also the expected ones.
        if message.type == "error" and "Failed to load resource" not in message.text:
            seen.errors.append(message.text)

    page.route("**", guard)
    page.on("console", hear)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.goto(path)
    return seen


def colours_of(page: Page, selector: str) -> tuple[list[float], list[float]]:
    """Those of the first such element: its text's, and that of what is behind it."""
    ink, paper = page.evaluate(_COLOUR, selector)
    return ink, paper


def luminance(colour: list[float]) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [each / 255 for each in colour[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(ink: list[float], paper: list[float]) -> float:
    """The ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
