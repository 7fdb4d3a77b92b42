"""The rules as transactions of a whole process keep them (ASSAY_TRANSACTIONS=process)."""

from tests.chaos.mutation import RUNTIME, Mutation

SOURCE, TESTS = "services/engine/shared_delivery.py", f"{RUNTIME}/test_shared_delivery.py"

SHARED = (
    Mutation(
        "A",
        "*shared:* outputs are not awaited before the commit",
        SOURCE,
        "        return [sent for share in shares for sent in share.acknowledgements]\n",
        "        return []\n",
        f"{TESTS}::test_a_refused_output_commits_nothing_and_harms_the_others_once",
    ),
    Mutation(
        "A",
        "*shared:* a partition whose outputs are refused goes on with the others",
        SOURCE,
        "                    self._alone |= refused\n",
        "                    pass\n",
        f"{TESTS}::test_a_refused_output_commits_nothing_and_harms_the_others_once",
    ),
    Mutation(
        "D",
        "*shared:* a producer lives for ever",
        SOURCE,
        "        if self._producer is not None and self.needs_recycling:  # D\n",
        "        if False:\n",
        f"{TESTS}::test_a_producer_is_worn_out_by_age_and_replaced_between_two_transactions",
    ),
    Mutation(
        "E",
        "*shared:* ownership of one partition alone is looked at",
        SOURCE,
        "lambda: all(share.owned() and not share.done.done() for share in shares)",
        "lambda: any(share.owned() and not share.done.done() for share in shares)",
        f"{TESTS}::test_a_partition_taken_away_before_the_commit_commits_nothing",
    ),
    Mutation(
        "C",
        "*shared:* the group is not told which member commits",
        SOURCE,
        "        commit_as(producer, self._member)\n",
        "",
        f"{TESTS}::test_a_member_that_the_group_has_gone_on_without_commits_nothing",
    ),
    Mutation(
        "C",
        "*shared:* a consumer without a generation is believed",
        "services/kafka/group_offsets.py",
        "        if coordinator.generation < 0 or not coordinator.member_id:\n",
        "        if False:\n",
        f"{TESTS}::test_a_consumer_without_a_generation_is_no_member",
    ),
    Mutation(
        "C",
        "*shared:* the id is another than the first partition's",
        SOURCE,
        "super().__init__(kafka, runtime, min(sources), partitions)",
        "super().__init__(kafka, runtime, max(sources), partitions)",
        f"{TESTS}::test_the_next_owner_of_the_first_partition_fences_a_process",
    ),
    Mutation(
        "C",
        "*shared:* a partition's own id is not fenced",
        SOURCE,
        "        if self._source not in self._assignment.fenced:\n",
        "        if False:\n",
        f"{TESTS}::test_an_owner_with_a_transaction_for_each_partition_is_fenced",
    ),
    Mutation(
        "B",
        "*shared:* the producer outlives a fault",
        SOURCE,
        "                _fail(shares, error)\n                await self._throw_away()\n",
        "                _fail(shares, error)\n",
        f"{TESTS}::test_a_commit_without_answer_fails_all_that_are_in_it_within_the_request_timeout",
    ),
)
