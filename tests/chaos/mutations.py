"""`python -m tests.chaos.mutations`: takes each of the rules A to I out of the source and runs the test that must notice.

Each mutation is made in a copy of the working tree; a test that still passes there would be a rule that nothing holds.
With --write the table in docs/guarantees.md is made again.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos.mutation import RUNTIME, Mutation
from tests.chaos.mutations_shared import SHARED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- mutations -->", "<!-- end of mutations -->"
TIMEOUT_S = 600.0


OWN = (
    Mutation(
        "A",
        "outputs are not awaited before the commit",
        "services/engine/delivery.py",
        "            await asyncio.gather(*acknowledgements)\n",
        "            pass\n",
        f"{RUNTIME}/test_delivery.py::test_a_failed_send_commits_nothing",
    ),
    Mutation(
        "B",
        "a commit may take for ever",
        "services/engine/delivery.py",
        "        async with asyncio.timeout(timeout_s):\n            await producer.commit_transaction()\n",
        "        await producer.commit_transaction()\n",
        f"{RUNTIME}/test_delivery.py::test_a_commit_without_answer_fails_within_the_request_timeout",
    ),
    Mutation(
        "B",
        "a commit without an answer is taken for one that happened",
        "services/engine/delivery.py",
        "        async with asyncio.timeout(timeout_s):\n            await producer.commit_transaction()\n",
        "        with contextlib.suppress(TimeoutError):\n"
        "            await asyncio.wait_for(producer.commit_transaction(), timeout_s)\n",
        f"{RUNTIME}/test_delivery.py::test_a_commit_without_answer_fails_within_the_request_timeout",
    ),
    Mutation(
        "B",
        "the position after a fault is what was worked, not what is committed",
        "services/engine/worker.py",
        "            consumer.seek(self.source, committed.offset)\n",
        "            consumer.seek(self.source, self.next_offset or committed.offset)\n",
        f"{RUNTIME}/test_worker_order.py",
    ),
    Mutation(
        "B",
        "the state outlives a fault",
        "services/engine/worker.py",
        "            processor = self._dependencies.make_processor(self.source)\n",
        "            processor = self.__dict__.setdefault('kept', self._dependencies.make_processor(self.source))\n",
        f"{RUNTIME}/test_worker_states.py::test_what_a_transaction_without_a_good_end_folded_is_forgotten",
    ),
    Mutation(
        "B",
        "a producer that cannot be closed hands its cancellation on",
        "services/kafka/client.py",
        "        await asyncio.wait([closing], timeout=bound_s)\n",
        "        await asyncio.wait_for(closing, bound_s)\n",
        f"{RUNTIME}/test_delivery.py::test_a_delivery_without_coordinator_is_discarded_within_a_bound",
    ),
    Mutation(
        "C",
        "an id for each process in place of one for each input partition",
        "services/engine/delivery.py",
        'f"assay-{runtime.group}-{source.topic}-{source.partition}"',
        'f"assay-{runtime.group}-{source.topic}-{source.partition}-{id(self)}"',
        f"{RUNTIME}/test_delivery.py::test_a_new_owner_fences_the_old_one_whatever_the_group_believes",
    ),
    Mutation(
        "C",
        "the committed offset is read before the last owner is fenced",
        "services/engine/worker.py",
        "            await delivery.start()\n            log_id = await self._identify()\n"
        "            committed = await self._committed(log_id)\n",
        "            log_id = await self._identify()\n"
        "            committed = await self._committed(log_id)\n"
        "            await delivery.start()\n",
        f"{RUNTIME}/test_worker_order.py::test_a_partition_starts_in_the_order_that_fences_first",
    ),
    Mutation(
        "C",
        "the error of an answer about offsets is not looked at, and nothing seems to be committed",
        "services/kafka/patches.py",
        "        if type(answer) in OFFSETS_ANSWERS and answer.error_code:\n",
        "        if False:\n",
        "tests/services/kafka/test_client.py::test_an_answer_without_offsets_is_no_group_without_offsets",
    ),
    Mutation(
        "C",
        "what is committed is asked for as the client does, and a commit under way not waited for",
        "services/kafka/patches.py",
        "aiokafka.consumer.group_coordinator.OffsetFetchRequest = StableOffsetsRequest\n",
        "",
        f"{RUNTIME}/test_delivery.py::test_the_committed_offset_is_told_once_the_commit_is_over",
    ),
    Mutation(
        "C",
        "a group that lost its offset starts over",
        "services/engine/restore.py",
        "    if former is None and not committed.known:\n",
        "    if False:\n",
        f"{RUNTIME}/test_worker_order.py::test_a_group_that_lost_its_offset_does_not_start_over",
    ),
    Mutation(
        "D",
        "a producer lives for ever",
        "services/engine/delivery.py",
        "            self._records > PRODUCER_RECORDS_MAX or monotonic_s()",
        "            False and self._records > PRODUCER_RECORDS_MAX and monotonic_s()",
        f"{RUNTIME}/test_delivery.py::test_a_producer_is_worn_out_by_age_and_by_count",
    ),
    Mutation(
        "E",
        "ownership is not looked at before a commit",
        "services/engine/delivery.py",
        '        failpoint("after_offsets")\n        if not owned():\n            raise RevokedError\n',
        '        failpoint("after_offsets")\n',
        f"{RUNTIME}/test_delivery.py::test_a_partition_taken_away_before_the_commit_commits_nothing",
    ),
    Mutation(
        "E",
        "a drain waits for the poll",
        "services/engine/polling.py",
        "            self._getting.cancel()\n",
        "            pass\n",
        f"{RUNTIME}/test_worker_order.py::test_a_drain_interrupts_a_poll",
    ),
    Mutation(
        "E",
        "an error while workers start stays in the library",
        "services/engine/group.py",
        "            self._start(assigned)\n        except Exception as error:\n            self._fail(error)\n",
        "            self._start(assigned)\n        except Exception:\n            pass\n",
        f"{RUNTIME}/test_group.py::test_an_error_in_a_callback_of_the_group_ends_the_process",
    ),
    Mutation(
        "F",
        "no watchdog",
        "services/engine/group.py",
        "            if self._stuck_s > 2 * self._settings.progress_timeout_s:\n",
        "            if False:\n",
        f"{RUNTIME}/test_group.py::test_records_that_wait_without_progress_end_the_process",
    ),
    Mutation(
        "F",
        "a group that never answers is no reason to worry",
        "services/engine/group.py",
        "default=joining_s)",
        "default=0.0)",
        f"{RUNTIME}/test_group.py::test_a_group_that_never_answers_ends_the_process",
    ),
    Mutation(
        "F",
        "a poll that comes back empty is progress",
        "services/engine/worker.py",
        "        if position > self.passed_offset:\n",
        "        if position >= self.passed_offset:\n",
        f"{RUNTIME}/test_group.py::test_a_fetcher_that_returns_nothing_while_records_wait_ends_the_process",
    ),
    Mutation(
        "F",
        "what an open transaction hides is nothing",
        "services/engine/group.py",
        "            ends = await log_ends(consumer, sources, timeout_s)\n",
        "            ends = stable\n",
        f"{RUNTIME}/test_group.py::test_what_an_open_transaction_hides_is_lag_and_no_reason_to_end",
    ),
    Mutation(
        "B",
        "a record is blamed for what Kafka does",
        "services/engine/suspects.py",
        "    return not isinstance(error, NOT_OF_THE_RECORDS)\n",
        "    return True\n",
        f"{RUNTIME}/test_suspects.py::test_what_kafka_the_disk_or_the_memory_does_wrong_is_never_blamed_on_a_record",
    ),
    Mutation(
        "G",
        "a header name that is no UTF-8 ends every member",
        "services/kafka/record_batches.py",
        '.decode("utf-8", "backslashreplace")',
        '.decode("utf-8")',
        "tests/services/kafka/test_record_batches.py::test_a_header_name_that_is_no_utf8_costs_no_record",
    ),
    Mutation(
        "F",
        "a worker that ended on its own is overlooked",
        "services/engine/group.py",
        "if error is None and task in self._tasks.values():",
        "if False:",
        f"{RUNTIME}/test_group.py::test_a_worker_that_ends_on_its_own_ends_the_process",
    ),
    Mutation(
        "G",
        "the library decodes, and asks for the same batch for ever when it cannot",
        "services/kafka/client.py",
        '        enable_auto_commit=False,\n        auto_offset_reset="none",',
        "        enable_auto_commit=False,\n        value_deserializer=__import__('json').loads,\n"
        '        auto_offset_reset="none",',
        "tests/services/kafka/test_client.py::test_the_input_comes_as_raw_bytes_and_only_what_is_committed",
    ),
    Mutation(
        "G",
        "the library logs as we do",
        "services/observability/logs.py",
        'logging.getLogger("aiokafka").setLevel(max(logging.INFO, logging.getLogger().level))',
        'logging.getLogger("aiokafka").setLevel(logging.getLogger().level)',
        "tests/services/kafka/test_client.py::test_the_library_never_logs_below_info_whatever_our_own_level_is",
    ),
    Mutation(
        "G",
        "a marker that cannot be parsed stops the partition, or hides what comes after it",
        "services/kafka/record_batches.py",
        "PartitionRecords._contains_abort_marker = _ends_aborted\n",
        "",
        "tests/services/kafka/test_record_batches.py::test_a_marker_that_cannot_be_parsed_hides_nothing_that_is_committed",
    ),
    Mutation(
        "C",
        "the log of an offset is not looked at",
        "services/engine/restore.py",
        "    foreign = note.log_id is not None and NO_LOG_ID not in (note.log_id, log_id) and note.log_id != log_id\n",
        "    foreign = False\n",
        f"{RUNTIME}/test_log_identity.py::test_a_log_that_was_made_again_is_scored_from_its_beginning_only_once_accepted",
    ),
    Mutation(
        "C",
        "a partition without offset and snapshot asks no other partition",
        "services/engine/restore.py",
        "        former = await _former_of_others(consumer, source, log_id, snapshots_of, settings.request_timeout_s)\n",
        "        former = None\n",
        f"{RUNTIME}/test_log_identity.py::test_a_partition_without_offset_and_snapshot_asks_the_topics_other_partitions",
    ),
    Mutation(
        "C",
        "a log that was made again gets commits under the old state",
        "services/engine/worker.py",
        "        if self._dependencies.logs.doubtful:\n",
        "        if False:\n",
        f"{RUNTIME}/test_log_identity.py::test_a_log_made_again_while_it_is_worked_gets_no_commit_under_the_old_state",
    ),
    Mutation(
        "B",
        "the duplicate window's clock goes back with a timestamp",
        "services/engine/duplicates.py",
        "        np.maximum(clock_ms, self._clock_ms, out=clock_ms)\n",
        "",
        f"{RUNTIME}/test_duplicates.py::test_a_timestamp_that_goes_back_makes_no_id_live_longer",
    ),
    Mutation(
        "B",
        "sums that are committed and not written end with the process",
        "services/engine/worker.py",
        "                processor.carry_on(self._carried)\n",
        "                pass\n",
        "tests/services/scorer/test_sums.py::"
        "test_a_process_that_ends_anywhere_leaves_no_record_uncounted_and_none_counted_twice",
    ),
    Mutation(
        "H",
        "the wait between transactions is as shipped",
        "services/kafka/patches.py",
        "aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.001",
        "aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.02",
        "tests/services/kafka/test_client.py::test_the_wait_between_transactions_is_cut_in_the_constant_that_the_library_uses",
    ),
    Mutation(
        "H",
        "retriable errors go to the log",
        "services/observability/log_filters.py",
        "                return False\n",
        "                return True\n",
        "tests/services/kafka/test_client.py::test_known_retriable_errors_are_counted_and_kept_out_of_the_log",
    ),
    Mutation(
        "F",
        "any share of dead letters is committed",
        "services/engine/hold_rule.py",
        "        if self._cap.exceeded(*_for_the_cap(result)):\n",
        "        if False:\n",
        "tests/services/scorer/test_life.py::test_too_many_dead_letters_hold_the_partition_and_the_others_go_on",
    ),
    Mutation(
        "F",
        "payments that are sent again count as garbage",
        "services/engine/hold_rule.py",
        "    repeated = sum(fault.reason is DeadLetterReason.DUPLICATE for fault in result.faults)\n",
        "    repeated = 0\n",
        "tests/services/scorer/test_standing_still.py::test_payments_that_are_sent_again_hold_nothing",
    ),
    Mutation(
        "F",
        "what an operator lets through has no end",
        "services/engine/hold_rule.py",
        "        if not result.faults or batch[0].offset < self.let_through_below:\n",
        "        if not result.faults or self.let_through_below:\n",
        f"{RUNTIME}/test_hold_rule.py::test_what_is_let_through_ends_at_the_offset_that_was_named",
    ),
    Mutation(
        "I",
        "one id moves the clock of its partition",
        "models/features/kernel.py",
        "        if not same:\n            clock[0] = ",
        "        if True:\n            clock[0] = ",
        "tests/models/features/test_fold.py::test_no_card_on_its_own_moves_the_clock",
    ),
    Mutation(
        "I",
        "the clock runs ahead of the log",
        "models/features/kernel.py",
        "        time = min(times[row], arrived_ms[row])\n",
        "        time = times[row]\n",
        "tests/models/features/test_fold.py::test_the_clock_is_not_ahead_of_the_log",
    ),
    Mutation(
        "I",
        "what is too late for its own id is remembered",
        "models/features/kernel.py",
        "        if time < last_ms - lateness_ms:\n            late[row] = True\n",
        "",
        "tests/models/features/test_fold.py::test_a_payment_that_is_too_late_is_scored_and_flagged",
    ),
    Mutation(
        "I",
        "an id's place in the index can be computed outside",
        "models/features/index.py",
        "    a, b = secret[0] ^ np.uint64(0x736F6D6570736575), secret[1] ^ np.uint64(0x646F72616E646F6D)\n"
        "    c, d = secret[0] ^ np.uint64(0x6C7967656E657261), secret[1] ^ np.uint64(0x7465646279746573)\n",
        "    a, b = np.uint64(0x736F6D6570736575), np.uint64(0x646F72616E646F6D)\n"
        "    c, d = np.uint64(0x6C7967656E657261), np.uint64(0x7465646279746573)\n",
        "tests/models/features/test_index.py::"
        "test_another_key_of_the_hash_moves_the_table_and_no_bit_of_a_feature_or_snapshot",
    ),
)
MUTATIONS = sorted((*OWN, *SHARED), key=lambda mutation: mutation.rule)


def caught(mutation: Mutation, scratch: Path) -> bool:
    """Whether the test fails in a copy of the tree without the rule."""
    copy = scratch / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    source = copy / mutation.path
    text = source.read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.path} holds this {text.count(mutation.old)} times: {mutation.old}"
    source.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", mutation.test]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return True
    assert done.returncode in (0, 1), f"the test did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.returncode == 1


def link(test: str) -> str:
    """A link from docs/ to a test's file, named by the test."""
    path, _, name = test.partition("::")
    return f"[`{name or Path(path).name}`](../{path})"


def table(results: list[tuple[Mutation, bool]]) -> str:
    """The page's section."""
    rows = [
        f"| {mutation.rule} | {mutation.what} | {'caught by ' + link(mutation.test) if was else '**not caught**'} |"
        for mutation, was in results
    ]
    return "\n".join(["| rule | taken out | |", "| --- | --- | --- |", *rows])


def main(
    rule: Annotated[str | None, typer.Option(help="Only this rule's.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the table into docs/guarantees.md.")] = False,
) -> None:
    """Take out each rule, one after another, and say which test noticed. Exits with 1 if one did not.

    Example: python -m tests.chaos.mutations --rule E
    """
    results = []
    with tempfile.TemporaryDirectory(prefix="assay-mutations-") as scratch:
        for mutation in (each for each in MUTATIONS if rule in (None, each.rule)):
            was = caught(mutation, Path(scratch))
            print(f"{mutation.rule}  {'caught' if was else 'NOT CAUGHT'}  {mutation.what}", file=sys.stderr, flush=True)
            results.append((mutation, was))
    if write:
        page = PAGE.read_text(encoding="utf-8")
        section = f"{BEGIN}\n{table(results)}\n{END}"
        PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: section, page, flags=re.DOTALL), encoding="utf-8")
    print(json.dumps({"mutations": len(results), "caught": sum(was for _, was in results)}))
    raise typer.Exit(not all(was for _, was in results))


if __name__ == "__main__":
    typer.run(main)
