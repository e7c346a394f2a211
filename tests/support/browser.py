"""A page as people see it: in a real browser, where the machine has one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

#: JavaScript: the texts of a page whose colour differs from their background by less than 4.5 to 1 (WCAG 2.2, 1.4.3).
PALE_TEXTS = """() => {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const read = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].map((each, at) => (at < 3 ? each : each / 255));
  };
  const colours = new Map();
  const rgba = (colour) => {
    if (!colours.has(colour)) colours.set(colour, read(colour));
    return colours.get(colour);
  };
  const over = (top, below) => top.slice(0, 3).map((each, at) => each * top[3] + below[at] * (1 - top[3]));
  const background = (element) => {
    if (!element) return rgba("Canvas").slice(0, 3);
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] >= 0.999 ? own.slice(0, 3) : over(own, background(element.parentElement));
  };
  const light = (colour) => colour.map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const pale = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (!text || !element.checkVisibility() || element.closest(":disabled, [aria-disabled=true], option")) continue;
    const below = background(element);
    const [a, b] = [light(over(rgba(getComputedStyle(element).color), below)), light(below)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) pale.push(`${text.slice(0, 40)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return pale;
}"""


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser; a test without one is skipped."""
    playwright = pytest.importorskip("playwright.sync_api")
    browser = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("there is no browser")
    with playwright.sync_playwright() as running:
        opened: Browser = running.chromium.launch(executable_path=browser, args=_ARGUMENTS)
        yield opened
        opened.close()


@contextmanager
def shown(file: Path, running: Browser | None = None, script: bool = True) -> Iterator[Page]:
    """The page of a file, which must ask for nothing but itself, complain of nothing, and fit on a narrow screen."""
    said: list[str] = []
    with nullcontext(running) if running else browsing() as opened:
        page: Page = opened.new_context(java_script_enabled=script).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith("data:") else None)
        page.goto(file.as_uri())
        yield page
        page.set_viewport_size({"width": 360, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert said == [file.as_uri()]


class PageTags(HTMLParser):
    """The tags of a page that are open, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.loaded += [f"{name}={value}" for name, value in attrs if name in ("src", "href")]
        self.loaded += [tag] * (tag in ("script", "link", "img", "iframe"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
