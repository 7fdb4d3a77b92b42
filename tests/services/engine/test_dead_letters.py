"""Dead letters and their cap."""

import hashlib
import hmac
from types import SimpleNamespace

from schemas import codec
from schemas.dead_letter import DeadLetter, DeadLetterReason
from services.engine.dead_letters import DeadLetterCap, DeadLetterWriter, privacy_key
from services.settings.processing import RuntimeSettings

SOURCE = SimpleNamespace(topic="transactions", partition=3, offset=42, value=b"4111111111111111")


def test_a_dead_letter_holds_the_position_and_a_keyed_hash_and_nothing_of_the_payload() -> None:
    """PCI DSS 3.5.1.1: a hash without key could be guessed back."""
    runtime = RuntimeSettings(privacy_key="k" * 32, privacy_key_id="2026-a")  # type: ignore[arg-type]
    payload = DeadLetterWriter(privacy_key(runtime)).encode(SOURCE, DeadLetterReason.UNDECODABLE, "no JSON")
    letter = codec.read(DeadLetter, payload)
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("transactions", 3, 42)
    assert letter.payload_hmac_sha256 == hmac.new(b"k" * 32, SOURCE.value, hashlib.sha256).hexdigest()
    assert (letter.key_id, letter.payload_bytes, letter.reason) == ("2026-a", 16, DeadLetterReason.UNDECODABLE)
    assert SOURCE.value not in payload


def test_without_a_key_two_processes_hash_differently_and_say_so() -> None:
    """A key in the code would be no key."""
    one, two = privacy_key(RuntimeSettings()), privacy_key(RuntimeSettings())
    assert one.key_id == two.key_id == "ephemeral"
    assert one.hash(b"x") != two.hash(b"x")


def counted(cap: DeadLetterCap, records: int, dead_letters: int) -> bool:
    """Whether a batch crosses the cap; one that does not is committed."""
    exceeded = cap.exceeded(records, dead_letters)
    if not exceeded:
        cap.count(records, dead_letters)
    return exceeded


def test_the_cap_holds_back_the_batch_that_crosses_it() -> None:
    """Half of the last thousand records."""
    cap = DeadLetterCap(0.5, 1000)
    assert not counted(cap, 500, 10)
    assert not counted(cap, 500, 480)
    assert counted(cap, 500, 500)


def test_a_batch_that_is_tried_again_counts_once() -> None:
    """It was not committed the first time: counted twice, five good reasons to hold would be made of one."""
    cap = DeadLetterCap(0.5, 1000)
    assert not counted(cap, 500, 0)
    for _ in range(5):
        assert not cap.exceeded(400, 400)
    assert not counted(cap, 400, 400)


def test_the_cap_does_not_judge_a_handful_of_records() -> None:
    """Three bad records at the start of a topic are not a misconfiguration."""
    cap = DeadLetterCap(0.5, 1000)
    assert not counted(cap, 3, 3)
    assert counted(cap, 97, 97)


def test_old_batches_leave_the_cap_s_window() -> None:
    """A poison burst is forgotten once good records have passed."""
    cap = DeadLetterCap(0.5, 100)
    assert not counted(cap, 100, 50)
    assert not counted(cap, 100, 0)
    assert not counted(cap, 100, 50)
