"""What the profile of a stream processor sets."""

from services.settings.processing import LATENCY_FACTOR, TRANSACTIONS_PER_S_MAX, RuntimeSettings


def test_the_latency_profile_begins_more_batches_and_a_number_that_is_set_counts_more() -> None:
    """Of both deliveries."""
    for delivery, usual in TRANSACTIONS_PER_S_MAX.items():
        plain = RuntimeSettings.model_validate({"delivery": delivery})
        assert plain.pace == usual
        assert plain.model_copy(update={"profile": "latency"}).pace == LATENCY_FACTOR * usual
        assert plain.model_copy(update={"profile": "latency", "transactions_per_s_max": 7.0}).pace == 7.0
