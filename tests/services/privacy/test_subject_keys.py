"""Keys of subjects, and decisions sealed with them."""

import asyncio
import json
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from models.bundle.keys import SealKey
from schemas import codec
from schemas.alert import Reason
from schemas.decision import Decision
from services.errors import AssayError, SettingsError
from services.privacy import subject_keys as module
from services.privacy.sealed_decisions import opened, sealed
from services.privacy.subject_keys import AGE_S_MAX, SubjectKeys, SubjectKeysError, subject_keys
from services.settings.privacy import SubjectSettings
from services.storage import Directory

MASTER = SealKey(b"m" * 32)
CARD, OTHER = "k1:card-of-somebody", "k1:card-of-another"
DECISION = Decision(
    transaction_id="tx-1",
    event_time_ms=1,
    card_id=CARD,
    probability=0.75,
    reconstruction_error=0.5,
    anomaly_percentile=99.5,
    alert=True,
    model="fraud/1@cpu",
    decision_id="transactions-0-7",
    decided_at_ms=2,
    bundle_digest="0" * 64,
    features=(1.0, 0.1, -3.25),
    probability_threshold=0.5,
    anomaly_percentile_threshold=99.0,
    outcome="alert",
    recorded_because="alert",
    reasons=(Reason(feature="amount", value=1.5, contribution=0.25, score="probability", text="amount is 1.5"),),
)


@pytest.fixture
def keys(tmp_path: Path) -> SubjectKeys:
    """Over an empty directory."""
    return keys_in(tmp_path)


def keys_in(directory: Path, master: SealKey = MASTER) -> SubjectKeys:
    """As another process would have them."""
    return SubjectKeys(master, Directory(directory / "subjects"))


async def seal(keys: SubjectKeys, decision: Decision = DECISION) -> Decision:
    """Through the bytes of the topic."""
    record = codec.record_of(decision)
    fields: dict[str, Any] = {name: getattr(record, name) for name in Decision.model_fields}
    fields["reasons"] = tuple(codec.record_of(reason) for reason in decision.reasons)
    key = (await keys.of([decision.card_id]))[decision.card_id]
    make = codec.record_type(Decision)
    return codec.read(Decision, codec.encode(make(**sealed(fields, key, keys.master_id))))


async def test_what_is_about_the_person_is_sealed_and_opens_to_the_same_bits(keys: SubjectKeys, tmp_path: Path) -> None:
    """In another process too; the rest stays readable."""
    record = await seal(keys)
    text = record.model_dump_json(exclude_none=True)
    assert CARD not in text
    assert "amount" not in text
    assert record.features == record.reasons == ()
    for field in set(Decision.model_fields) - {"card_id", "features", "reasons", "sealed"}:
        assert getattr(record, field) == getattr(DECISION, field)
    assert opened(record, keys_in(tmp_path)) == (DECISION, "opened")
    assert opened(DECISION, keys) == (DECISION, "plain")


async def test_an_erased_subject_no_longer_opens_and_others_do(keys: SubjectKeys, tmp_path: Path) -> None:
    """Nor with the key that the subject has when it comes back."""
    mine, theirs = await seal(keys), await seal(keys, DECISION.model_copy(update={"card_id": OTHER}))
    assert keys_in(tmp_path).erase(CARD)
    assert opened(mine, keys) == (mine, "erased")
    assert opened(theirs, keys).was == "opened"
    assert not keys.erase(CARD)
    returned = await seal(keys_in(tmp_path))
    assert returned.card_id == mine.card_id
    assert opened(returned, keys) == (DECISION, "opened")
    assert opened(mine, keys) == (mine, "erased")


async def test_keys_in_an_object_store_are_shared_and_erased_likewise(s3: None) -> None:
    """Over S3's own protocol: two processes, one salt; after an erasure neither opens."""
    settings = SubjectSettings(
        key=SecretStr(MASTER.secret.hex()), salts_url=f"s3://bank-{uuid.uuid4().hex[:8]}/subjects"
    )
    one, other = subject_keys(settings), subject_keys(settings)
    assert one is not None
    assert other is not None
    record = await seal(one)
    assert (await other.of([CARD]))[CARD].salt_id == (await one.of([CARD]))[CARD].salt_id
    assert opened(record, other) == (DECISION, "opened")
    assert other.erase(CARD)
    assert opened(record, one).was == "erased"
    assert not one.erase(CARD)


async def test_the_same_decision_is_never_sealed_to_the_same_bytes(keys: SubjectKeys) -> None:
    """A batch that was not committed is made again, at another time: a repeated nonce would tell both."""
    texts = {(await seal(keys)).sealed for _ in range(200)}
    assert len(texts) == 200
    assert len({str(text).rpartition(".")[2][:16] for text in texts}) == 200


@pytest.mark.parametrize(
    "change",
    [
        {"decision_id": "transactions-0-8"},
        {"sealed": "flip"},
        {"sealed": "cut"},
        {"card_id": "../../subjects"},
        {"card_id": "/etc/passwd"},
    ],
    ids=lambda change: "-".join(change.values()),
)
async def test_a_changed_record_does_not_open(keys: SubjectKeys, change: dict[str, str]) -> None:
    """Moved to another decision, changed, cut short, or naming a file that is none of ours."""
    record = await seal(keys)
    text = record.sealed or ""
    if change.get("sealed") == "flip":
        change = {"sealed": text[:-6] + ("A" if text[-6] != "A" else "B") + text[-5:]}
    elif change.get("sealed") == "cut":
        change = {"sealed": text[:-8]}
    changed = record.model_copy(update=change)
    assert opened(changed, keys) == (changed, "changed")


async def test_another_master_key_opens_nothing_and_both_are_named(keys: SubjectKeys, tmp_path: Path) -> None:
    """By what tells nothing of them."""
    record = await seal(keys)
    other = keys_in(tmp_path, SealKey(b"n" * 32))
    with pytest.raises(AssayError, match=f"{keys.master_id}.*{other.master_id}"):
        opened(record, other)


def test_processes_that_meet_a_new_subject_at_once_agree_on_its_key(tmp_path: Path) -> None:
    """One makes the salt, all take it."""
    start, found = threading.Barrier(8), []

    def meet() -> None:
        keys = keys_in(tmp_path)
        start.wait()
        found.append(asyncio.run(keys.of([CARD]))[CARD].salt_id)

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


async def test_an_erasure_is_noticed_by_a_process_that_remembers_the_key(tmp_path: Path) -> None:
    """After AGE_S_MAX at the latest; until then it does not ask again."""
    now_s = [1000.0]
    keys = SubjectKeys(MASTER, Directory(tmp_path / "subjects"), lambda: now_s[0])
    before = (await keys.of([CARD]))[CARD]
    keys_in(tmp_path).erase(CARD)
    now_s[0] += AGE_S_MAX
    assert (await keys.of([CARD]))[CARD].salt_id == before.salt_id
    now_s[0] += 0.1
    assert (await keys.of([CARD]))[CARD].salt_id != before.salt_id


async def test_the_keys_remembered_are_bounded(keys: SubjectKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest unused make room, and are read again, not made again."""
    monkeypatch.setattr(module, "CACHED_MAX", 3)
    cards: Sequence[str] = [f"k1:card-{number}" for number in range(5)]
    first = await keys.of(cards)
    assert list(first) == list(cards)
    assert len(keys._cached) == 3
    again = await keys.of(cards)
    assert {card: key.salt_id for card, key in again.items()} == {card: key.salt_id for card, key in first.items()}


async def test_a_store_that_fails_or_is_damaged_is_an_error_that_names_no_subject(tmp_path: Path) -> None:
    """The partition starts again; nothing is written that could not be opened."""
    (tmp_path / "subjects").write_text("a file where a directory should be")
    with pytest.raises(SubjectKeysError, match="cannot be read") as caught:
        await keys_in(tmp_path).of([CARD])
    assert CARD not in str(caught.value)
    (tmp_path / "subjects").unlink()
    keys = keys_in(tmp_path)
    key = (await keys.of([CARD]))[CARD]
    (tmp_path / "subjects" / key.reference).write_bytes(b"short")
    with pytest.raises(SubjectKeysError, match="is damaged"):
        keys.find(key.reference)


def test_nothing_in_the_store_names_a_subject_or_opens_a_record_alone(tmp_path: Path) -> None:
    """Who takes the salts has 32 random bytes a subject under a keyed hash."""
    asyncio.run(keys_in(tmp_path).of([CARD]))
    (file,) = (tmp_path / "subjects").iterdir()
    assert CARD not in file.name
    assert len(file.read_bytes()) == 32
    assert keys_in(tmp_path, SealKey(b"n" * 32)).reference(CARD) != file.name


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"key": "not a key"}, "ASSAY_SUBJECT_KEY holds no key"),
        ({"key_file": "nowhere.secret"}, "nowhere.secret cannot be read"),
        ({"key_command": "false"}, "ASSAY_SUBJECT_KEY_COMMAND gave no key"),
    ],
)
def test_a_key_that_cannot_be_used_is_one_sentence_without_it(settings: dict[str, Any], why: str) -> None:
    """At the start, before a record is read."""
    with pytest.raises(SettingsError, match=why) as caught:
        subject_keys(SubjectSettings(**settings))
    assert "not a key" not in str(caught.value)


def test_without_a_key_nothing_is_sealed() -> None:
    """As before."""
    assert subject_keys(SubjectSettings()) is None


def test_a_reader_that_knows_no_seals_reads_sealed_records(keys: SubjectKeys) -> None:
    """A field was added, none was taken away (schemas/base.py)."""
    fields = json.loads(asyncio.run(seal(keys)).model_dump_json())
    del fields["sealed"]
    assert codec.read(Decision, json.dumps(fields).encode()).recorded_because == "alert"


def test_a_key_without_a_place_for_the_salts_is_one_sentence() -> None:
    """A folder that each process would have of its own gives one card several salts, and an erasure misses some."""
    with pytest.raises(SettingsError, match="ASSAY_SUBJECT_SALTS_URL is not set"):
        subject_keys(SubjectSettings(key=SecretStr(MASTER.secret.hex())))
