"""Real Chromium for the pages: who is logged in, what their pages said, which hosts they asked, what axe-core finds."""

import importlib.util
import io
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.services.console.conftest import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = importlib.util.find_spec("playwright") is not None
WIDTHS = (1280, 768, 390)
SCHEMES = ("light", "dark")
HEIGHT = 900
LOOKS = Path(__file__).parent / "looks"
SMALLER = 8
"""A look is kept at an eighth of its size: layout and colours show, the machine's fonts hardly."""

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="A browser is needed: install Debian's package chromium, and playwright of the extra `dev`.",
)


@dataclass
class Person:
    """A browser of someone's own. said: errors and warnings of its pages. hosts: that they asked."""

    page: Any
    url: str
    said: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    async def go(self, path: str) -> None:
        """Open one of our pages."""
        await self.page.goto(self.url + path)

    async def login(self, name: str) -> None:
        """By keys alone: the name has the focus."""
        await self.go("/login")
        await self.page.wait_for_selector("#name:focus")
        for text, key in ((name, "Tab"), (PASSWORD, "Enter")):
            await self.page.keyboard.type(text)
            await self.page.keyboard.press(key)
        await self.page.wait_for_url("**/queue")

    async def press(self, *keys: str) -> None:
        """One key after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def text(self, selector: str = "main") -> str:
        """What is to be read."""
        found: str = await self.page.inner_text(selector)
        return found

    async def violations(self) -> list[str]:
        """What axe-core finds on the page as it is, best practices included: rule and element."""
        import axe_playwright_python

        await self.page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
        found = await self.page.evaluate("axe.run(document).then(r => r.violations)")
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

    async def look(self) -> bytes:
        """What can be seen, as PNG."""
        found: bytes = await self.page.screenshot(animations="disabled", caret="hide")
        return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """One browser without a window."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        sandbox = os.geteuid() != 0  # Chromium's sandbox refuses root
        browser = await driver.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=sandbox)
        yield browser
        await browser.close()


@asynccontextmanager
async def person(
    browser: Any, url: str, name: str | None = None, width: int = 1280, scheme: str = "light", *, refused: int = 0
) -> AsyncIterator[Person]:
    """Someone with a browser of their own, whose pages said nothing and asked no other host at the end.

    refused: how many pages they were refused, which Chromium says on the console.
    """
    context = await browser.new_context(
        viewport={"width": width, "height": HEIGHT}, color_scheme=scheme, has_touch=width < 600, reduced_motion="reduce"
    )
    page = await context.new_page()
    one = Person(page, url)
    page.on("console", lambda message: one.said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: one.said.append(str(error)))
    context.on("request", lambda request: one.hosts.add(request.url.split("/")[2]))
    if name:
        await one.login(name)
    yield one
    await context.close()
    assert one.hosts == {url.partition("//")[2]}
    assert len(one.said) == refused, one.said


def reduced(png: bytes) -> Any:
    """A look at an eighth of its size, grey levels from 0 to 255, as uint8."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("L")
    return np.asarray(image.resize((image.width // SMALLER, image.height // SMALLER), Image.Resampling.BOX))


def distance(found: Any, kept: Any) -> float:
    """Mean difference of two looks, in grey levels; infinite where they are of other sizes."""
    if found.shape != kept.shape:
        return float("inf")
    return float(np.abs(found.astype(float) - kept.astype(float)).mean())


def kept_look(name: str, found: Any) -> Any:
    """The look that was committed; None for one that is not there yet, which is written: look at it, and commit it."""
    from PIL import Image

    path = LOOKS / f"{name}.png"
    if not path.exists():
        LOOKS.mkdir(exist_ok=True)
        Image.fromarray(found).save(path, optimize=True)
        return None
    return np.asarray(Image.open(path).convert("L"))
