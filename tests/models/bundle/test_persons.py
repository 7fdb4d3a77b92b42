"""Signatures of persons: a step or command counts only as those who may have signed exactly it. Pure, with real keys."""

from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from models.bundle.files import BundleError
from models.bundle.keys import public_pem
from models.bundle.persons import PersonsFileError, StepRule, read_persons, sign_step
from models.bundle.registry import Registry, holder
from schemas.approval import StepStatement
from schemas.control import BundleRef, Control
from schemas.person import SignedStep
from schemas.registry import RegistryEvent
from tests.services.test_approvals import HOUR_MS, NOW_MS

KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("rosa", "aron", "lena", "eve")}
ROLES = {"rosa": "risk-officer", "aron": "admin", "lena": "lead"}
OLD, NEW = (BundleRef(name="fraud", version=n, digest=str(n) * 64) for n in (1, 2))


class Memory:
    """A shelf of a registry."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def names(self) -> list[str]:
        """Names of the files."""
        return list(self._files)

    def create(self, name: str, content: bytes) -> None:
        """Make one."""
        self._files[name] = content

    def open(self, name: str) -> BinaryIO:
        """One to read."""
        return BytesIO(self._files[name])


def persons_file(path: Path, **changes: Any) -> Path:
    """Everybody but eve."""
    listed = [
        {"name": name, "role": role, "public_key": public_pem(KEYS[name].public_key()).decode()} | changes.get(name, {})
        for name, role in ROLES.items()
    ]
    path.write_text(yaml.safe_dump({"persons": listed}), encoding="utf-8")
    return path


@pytest.fixture
def rule(tmp_path: Path) -> StepRule:
    """Two persons have to sign."""
    return StepRule(read_persons(persons_file(tmp_path / "persons.yaml")), 2)


def signed(*names: str, **changes: Any) -> SignedStep:
    """A promotion of the new bundle behind three steps, signed by these."""
    said: dict[str, Any] = {
        "subject": "bundle", "action": "promote", "line": "fraud", "channel": "champion", "bundle": NEW, "before": OLD,
        "registry_steps": 3, "request_id": "0" * 12, "by": "rosa", "at_ms": NOW_MS, "expires_at_ms": NOW_MS + HOUR_MS,
    }  # fmt: skip
    text = StepStatement(**(said | changes)).model_dump_json()
    return SignedStep(statement=text, signatures=tuple(sign_step(text, KEYS[name], name) for name in names))


def command(step: SignedStep | None, **changes: Any) -> Control:
    """The command of that promotion."""
    fields: dict[str, Any] = {
        "kind": "command", "group": "g", "channel": "champion", "command_id": "c", "at_ms": 1, "by": "rosa",
        "bundle": NEW, "registry_steps": 3, "signed": step,
    }  # fmt: skip
    return Control(**(fields | changes))


def event(action: Any, bundle: BundleRef, step: SignedStep | None = None) -> RegistryEvent:
    """A step of the history."""
    channel: Any = None if action == "publish" else "champion"
    return RegistryEvent(action=action, bundle=bundle, channel=channel, at_ms=1, by="somebody", signed=step)


def test_two_persons_who_may_are_enough_and_nothing_less_is(rule: StepRule) -> None:
    """Not one twice, not a lead, not a stranger, not under another's name; not no one."""
    assert rule.check_command(command(signed("rosa", "aron")), NOW_MS).bundle == NEW
    once = signed("rosa")
    twice = once.model_copy(update={"signatures": once.signatures * 2})
    as_aron = signed("eve").signatures[0].model_copy(update={"by": "aron", "key": signed("aron").signatures[0].key})
    borrowed = once.model_copy(update={"signatures": (*once.signatures, as_aron)})
    for step in (None, once, twice, signed("rosa", "lena"), signed("rosa", "eve"), borrowed):
        with pytest.raises(BundleError, match="sign"):
            rule.check_command(command(step), NOW_MS)
    changed = signed("rosa", "aron")
    changed = changed.model_copy(update={"statement": changed.statement.replace('"version":2', '"version":3')})
    with pytest.raises(BundleError, match="no one"):
        rule.check_command(command(changed), NOW_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {"bundle": OLD},
        {"bundle": None},
        {"channel": "challenger"},
        {"channel": "policy"},
        {"registry_steps": 4},
        {"registry_steps": None},
        {"rollback": True},
        {"rollback": True, "bundle": OLD, "replaces": None},
    ],
)
def test_a_signature_is_of_one_command_alone(rule: StepRule, changes: dict[str, Any]) -> None:
    """Who can write `control` can do nothing else with it."""
    with pytest.raises(BundleError):
        rule.check_command(command(signed("rosa", "aron"), **changes), NOW_MS)


def test_a_signature_about_payments_is_none_about_credit_and_the_other_way_round(rule: StepRule) -> None:
    """Though the same channel of a policy of the same name is meant."""
    ours, theirs = (signed("rosa", "aron", subject=subject) for subject in ("credit_policy", "policy"))
    assert rule.check_command(command(ours, channel="policy"), NOW_MS, "credit_policy").bundle == NEW
    for step, policies in ((theirs, "credit_policy"), (ours, "policy")):
        with pytest.raises(BundleError, match="another step"):
            rule.check_command(command(step, channel="policy"), NOW_MS, policies)  # type: ignore[arg-type]


def test_the_way_back_of_a_first_promotion_is_a_command_that_was_signed(rule: StepRule) -> None:
    """It empties the channel; of what is in shadow it is no rollback."""
    none = {"bundle": None, "before": NEW, "subject": "policy", "action": "withdraw"}
    step = signed("rosa", "aron", **none)
    asked = command(step, channel="policy", bundle=None, replaces=NEW, rollback=True)
    assert rule.check_command(asked, NOW_MS).before == NEW
    with pytest.raises(BundleError, match="another bundle"):
        rule.check_command(asked.model_copy(update={"rollback": False}), NOW_MS)
    step = signed("rosa", "aron", **none, channel="challenger")
    rule.check_command(command(step, channel="shadow_policy", bundle=None), NOW_MS)


def test_what_was_signed_may_be_taken_back_and_is_over_by_the_brokers_clock(rule: StepRule) -> None:
    """To what was there before, of nothing else; a command that is written later is refused."""
    step = signed("rosa", "aron")
    rule.check_command(command(step, bundle=OLD, replaces=NEW, rollback=True), NOW_MS)
    rule.check_command(command(step), NOW_MS + HOUR_MS - 1)
    with pytest.raises(BundleError, match="over"):
        rule.check_command(command(step), NOW_MS + HOUR_MS)


def test_steps_of_a_registry_that_persons_did_not_sign_are_void_and_a_signed_one_counts_once(rule: StepRule) -> None:
    """Forged promotions, a repeated one, one under another's signatures: the champion stays."""

    def check(step: RegistryEvent, index: int, counted: Any) -> None:
        rule.check_event(step, "bundle", index, counted)

    shelf = Memory()

    def append(step: RegistryEvent) -> None:
        shelf.create(f"{len(shelf.names()) + 1:08d}.json", step.model_dump_json().encode())

    def champion() -> BundleRef | None:
        return holder(Registry(Memory(), shelf, "r", check).history(), "fraud", "champion")

    first = event("promote", OLD, signed("rosa", "aron", bundle=OLD, before=None, registry_steps=2))
    for step in (event("publish", OLD), event("publish", NEW), event("promote", NEW), first):
        append(step)
    assert champion() == OLD
    append(event("promote", NEW, signed("rosa", registry_steps=4)))
    append(event("promote", NEW, signed("rosa", "aron", bundle=OLD, registry_steps=4)))
    assert champion() == OLD
    append(event("promote", NEW, signed("rosa", "aron", registry_steps=6)))
    assert champion() == NEW
    append(first)  # copied, to bring the old one back
    assert champion() == NEW
    registry = Registry(Memory(), shelf, "r", check)
    registry.history()
    assert [(str(step.bundle), error.reason) for step, error in registry.refused()][-1] == ("fraud/1", "signature")
    assert Registry(Memory(), shelf, "r").holds("fraud", "champion") == OLD, "where no one has to sign, all steps count"


def leaving(tmp_path: Path, left: Any, signatures_min: int = 2) -> StepRule:
    """The rule where rosa leaves."""
    return StepRule(read_persons(persons_file(tmp_path / "persons.yaml", rosa={"left": left})), signatures_min)


@pytest.mark.parametrize("left", ["2027-01-15", "2027-01-15T00:00:00Z", "2027-01-15T02:00+02:00", date(2027, 1, 15)])
def test_what_someone_signed_counts_for_what_was_written_before_they_left(tmp_path: Path, left: Any) -> None:
    """By the broker's clock, from the first moment of that day on; what was written before counts for ever."""
    at_ms = round(datetime(2027, 1, 15, tzinfo=UTC).timestamp() * 1000)
    rule, step = leaving(tmp_path, left), signed("rosa", "aron", expires_at_ms=at_ms + HOUR_MS)
    rule.check_command(command(step), at_ms - 1)
    with pytest.raises(BundleError, match=r"what rosa \(left 2027-01-15.*\) signed no longer counts"):
        rule.check_command(command(step), at_ms)
    assert rule.signers(step, at_ms) == ["aron"]
    assert [one.by for one in rule.holding(step, at_ms).signatures] == ["aron"]
    assert rule.signers(step, at_ms - 1) == ["rosa", "aron"]
    leaving(tmp_path, left, 1).check_command(command(step), at_ms)


def test_a_step_of_someone_who_left_counts_where_it_stands_and_no_later_one_does(tmp_path: Path) -> None:
    """Also where it says that it is older than the signed step before it."""
    at_ms = round(datetime(2027, 1, 15, tzinfo=UTC).timestamp() * 1000)
    rule = leaving(tmp_path, "2027-01-15", 1)
    said = {"bundle": OLD, "before": None}
    first = event("promote", OLD, signed("rosa", **said, registry_steps=0)).model_copy(update={"at_ms": at_ms - 5})
    rule.check_event(first, "bundle", 0, [])
    late = first.model_copy(update={"at_ms": at_ms})
    with pytest.raises(BundleError, match="rosa"):
        rule.check_event(late, "bundle", 0, [])
    by_aron = event("promote", OLD, signed("aron", **said)).model_copy(update={"at_ms": at_ms + 5})
    backdated = event("promote", NEW, signed("rosa", registry_steps=1)).model_copy(update={"at_ms": at_ms - 5})
    with pytest.raises(BundleError, match="rosa"):
        rule.check_event(backdated, "bundle", 1, [by_aron])
    rule.check_event(backdated, "bundle", 1, [by_aron.model_copy(update={"action": "void"})])


def test_whose_signatures_counted_has_another_name_once_someone_leaves(tmp_path: Path, rule: StepRule) -> None:
    """A replay judges as the scorer did, or says that it cannot."""
    assert leaving(tmp_path, "2027-01-15").digest != rule.digest
    assert leaving(tmp_path, None).digest == rule.digest


@pytest.mark.parametrize(
    "left", ["2027-13-01", "2027-02-30", "tomorrow", "2027-01-15T17:00", datetime(2027, 1, 15, 17), 7]
)
def test_a_day_of_leaving_that_is_none_or_a_time_without_a_zone_is_one_sentence(tmp_path: Path, left: Any) -> None:
    """Nothing is guessed of it."""
    with pytest.raises(PersonsFileError, match="2026-11-30"):
        leaving(tmp_path, left)


def test_a_file_of_persons_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    """Missing, no YAML, no list, a role that is none, a key or a name twice."""
    path = tmp_path / "persons.yaml"
    with pytest.raises(PersonsFileError, match="cannot be read"):
        read_persons(path)
    for text in ("{", "persons: 3", "[]", "persons:\n - name: x", ""):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(PersonsFileError, match="no file of persons"):
            read_persons(path)
    with pytest.raises(PersonsFileError, match="no file of persons"):
        read_persons(persons_file(path, rosa={"role": "king"}))
    with pytest.raises(PersonsFileError, match="twice"):
        read_persons(persons_file(path, rosa={"name": "ARON"}))
    with pytest.raises(PersonsFileError, match="twice"):
        read_persons(persons_file(path, rosa={"name": "aron "}))
    with pytest.raises(PersonsFileError, match="twice"):
        read_persons(persons_file(path, rosa={"public_key": public_pem(KEYS["aron"].public_key()).decode()}))
    with pytest.raises(BundleError, match="The key of rosa"):
        read_persons(persons_file(path, rosa={"public_key": "no key"}))
