"""A policy activated by two persons in real Chromium, who sign where their keys are. Without Kafka."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.people.signing_file import sign_prepared
from tests.services.console.browsing import SCHEMES, WIDTHS, Person, chromium, needs_chromium, person
from tests.services.console.promoting import Promoting, promoting

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.asyncio(loop_scope="function")]


@pytest.fixture
def desk(tmp_path: Path, users_file: Path) -> Iterator[Promoting]:
    """Three policies are published, none decides; two persons have to sign."""
    with promoting(tmp_path, users_file) as desk:
        yield desk


def at_home(desk: Promoting, name: str, command: str) -> str:
    """The command that the page shows, run where the person's key is: what it prints."""
    found = re.fullmatch(r"assay approvals sign-file - <<'END'\n(.*)\nEND", command)
    assert found, command
    file = desk.everyone.folder / "pasted.json"
    file.write_text(found[1])
    return sign_prepared(file, desk.everyone.key_file(name))


async def looked_at(one: Person, width: int) -> None:
    """No violation, and nothing sticks out, at a width."""
    await one.page.set_viewport_size({"width": width, "height": 900})
    assert await one.violations() == []
    assert await one.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_two_persons_put_a_policy_in_force_in_two_browsers(desk: Promoting, tmp_path: Path) -> None:
    """One prepares it, copies the command, pastes the signature; the other chooses the file; then it is active."""
    async with (
        chromium() as browser,
        person(browser, desk.stand.url, "risk-officer", refused=1) as officer,
        person(browser, desk.stand.url, "admin") as admin,
    ):
        await officer.page.click("text=Models")
        await officer.page.click('[aria-label="Let fraud/2 decide"]')
        assert "rule rule_2" in await officer.text()
        await officer.page.fill("#reason", "fewer frauds pass")
        await officer.page.click("text=Prepare it")
        await officer.page.wait_for_url("**did=prepared")
        path = officer.page.url.partition("?")[0].removeprefix(desk.stand.url)
        command = await officer.page.input_value("#to-sign")
        await officer.page.fill("#signature", at_home(desk, "admin", command))
        await officer.page.click("button:has-text('Sign it')")
        await officer.page.wait_for_selector("text=This is admin's key, and you are signed in as risk-officer")
        assert await officer.violations() == []
        await officer.page.fill("#signature", at_home(desk, "risk-officer", command))
        await officer.page.click("button:has-text('Sign it')")
        await officer.page.wait_for_url("**did=signed")
        assert "You have signed it. Another person has to: admin." in await officer.text()
        assert desk.decides() == "None"
        await admin.page.click("text=Approvals")
        await admin.page.click("text=promote policy fraud/2")
        signature = tmp_path / "signature.json"
        signature.write_text(at_home(desk, "admin", await admin.page.input_value("#to-sign")))
        await admin.page.set_input_files("#signature-file", signature)
        await admin.page.wait_for_function("document.getElementById('signature').value.includes('payload')")
        await admin.page.click("button:has-text('it is activated')")
        await admin.page.wait_for_selector("text=Active. All 4 partitions have it active.")
        assert desk.decides() == "fraud/2"
        await officer.go("/promotions")
        assert "signed by risk-officer and admin" in await officer.text()
        assert path.startswith("/approvals/")


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_on_the_pages_of_promotions(desk: Promoting, scheme: str) -> None:
    """The list, a step, a request to sign, one that is active; at three widths."""
    first, second = desk.prepare("risk-officer"), desk.prepare("risk-officer", 3, channel="challenger")
    for name in ("risk-officer", "admin"):
        desk.sign(name, first)
    async with chromium() as browser, person(browser, desk.stand.url, "admin", 1280, scheme) as one:
        for path in (
            "/promotions",
            "/promotions/step?subject=policy&step=promote&channel=champion&version=3",
            first,
            second,
        ):
            await one.go(path)
            await one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            for width in WIDTHS:
                await looked_at(one, width)
