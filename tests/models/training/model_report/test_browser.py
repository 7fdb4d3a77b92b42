"""The report in a real browser: nothing asked for, nothing broken, readable in light, dark, on a phone and on paper."""

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="A browser is needed: install Debian's packages chromium and chromium-driver.",
)

LIGHT, DARK = "light", "dark"

BROKEN_PLOTS = """
const broken = [];
for (const svg of document.querySelectorAll('svg')) {
  const frame = svg.getBoundingClientRect(), name = svg.getAttribute('aria-label');
  if (frame.width < 100 || frame.height < 30) broken.push(`${name}: no size`);
  if (!svg.querySelector('path, rect, circle')) broken.push(`${name}: empty`);
  const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  texts.forEach(([words, a], at) => {
    if (a.left < frame.left - 8 || a.right > frame.right + 14 || a.top < frame.top - 4 || a.bottom > frame.bottom + 4)
      broken.push(`${name}: "${words}" lies outside`);
    for (const [others, b] of texts.slice(at + 1)) {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 4) broken.push(`${name}: "${words}" and "${others}" overlap`);
    }
  });
}
return broken;
"""

CONTRASTS = """
const light = colour => {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255);
  const linear = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const paper = light(getComputedStyle(document.body).backgroundColor);
const found = {};
for (const place of ['body', 'a', 'thead th', '.small figcaption', 'svg text', 'svg .label']) {
  const style = getComputedStyle(document.querySelector(place));
  const ink = light(place.startsWith('svg') ? style.fill : style.color);
  found[place] = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}
return found;
"""

Open = Callable[..., webdriver.Chrome]


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium without a window, with its console and network logs on."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(argument)
    if os.geteuid() == 0:  # Chromium's sandbox refuses root
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser: webdriver.Chrome, page: Callable[[str], bytes], tmp_path: Path) -> Open:
    """Opens a report: its name, the width in pixels, the colours that the reader prefers."""

    def opened(name: str, width: int = 1280, colours: str = LIGHT) -> webdriver.Chrome:
        (tmp_path / "report.html").write_bytes(page(name))
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"media": "", "features": [{"name": "prefers-color-scheme", "value": colours}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get((tmp_path / "report.html").as_uri())
        return browser

    return opened


def requests(browser: webdriver.Chrome) -> list[str]:
    """Every address that the page asked for, but data in the page itself."""
    events: list[dict[str, Any]] = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith("data:")]


@pytest.mark.parametrize("name", ["fraud", "credit"])
def test_it_asks_for_nothing_and_the_console_is_silent(show: Open, name: str) -> None:
    """One request, for the page; no error, no warning, no refused content."""
    browser = show(name)
    assert requests(browser) == [browser.current_url]
    assert browser.get_log("browser") == []
    assert browser.title == f"{name}/1: model report"


@pytest.mark.parametrize("name", ["fraud", "credit"])
def test_every_plot_is_drawn_and_no_label_is_cut_or_covered(show: Open, name: str) -> None:
    """Each plot has a size and shapes; its texts lie within it and apart from each other."""
    assert show(name).execute_script(BROKEN_PLOTS) == []


def test_every_section_but_the_card_has_a_plot(show: Open) -> None:
    """The card is tables."""
    script = (
        "return [...document.querySelectorAll('main > section')].map(s => [s.id, s.querySelectorAll('svg').length])"
    )
    plots = dict(show("fraud").execute_script(script))
    assert plots.pop("card") == 0
    assert len(plots) == 9
    assert all(plots.values())


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("width", [1280, 768, 320])
def test_it_fits_any_width_and_can_be_read_in_light_and_dark(show: Open, width: int, colours: str) -> None:
    """Nothing sticks out sideways; text has the contrast that WCAG 2.2 AA asks for, 4.5 to 1."""
    browser = show("fraud", width, colours)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    contrasts = browser.execute_script(CONTRASTS)
    assert min(contrasts.values()) >= 4.5, contrasts
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is (colours == LIGHT)


def test_it_prints_in_black_on_white_with_no_table_cut_off(show: Open) -> None:
    """Also for a reader who prefers dark; wide tables do not scroll on paper, so they must fit."""
    browser = show("fraud", 700, DARK)
    media = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": DARK}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.execute_script("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 700
    paper = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert base64.b64decode(paper["data"]).startswith(b"%PDF-")
