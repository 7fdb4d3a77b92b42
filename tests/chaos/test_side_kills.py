"""What `make side-kills` says of its kills."""

from tests.chaos.side_kills import Outcome, Takeover


def test_the_verdict_names_stalls_and_where_the_slowest_takeovers_spent_their_time() -> None:
    """One of 63 s that read back a large ledger, among shorter ones; then a stall."""
    slow = Takeover(started_s=2.0, running_s=4.0, ready_s=60.0, working_s=63.0, payments=120_000)
    outcome = Outcome(kills=3, takeovers=[Takeover(working_s=9.0), slow, Takeover(working_s=12.0)])
    assert outcome.summary() == {
        "kills": 3,
        "stalls": 0,
        "restarts": 0,
        "takeover_s_median": 12.0,
        "takeover_s_max": 63.0,
    }
    words = "started 2.0 s, running 4.0 s, ready 60.0 s, first record 63.0 s; 120,000 payments in its ledger"
    assert outcome.verdict()[0] == f"slow: {words}"
    assert outcome.verdict()[-1] == "good: 3 kills, no successor stood still."
    outcome.stalls, outcome.stuck = 1, ["app.stuck"]
    assert outcome.verdict()[0] == "app.stuck"
    assert outcome.verdict()[-1].startswith("BAD: 1 of 3 successors stood still")
    assert outcome.line(100).startswith("3 of 100 kills, 1 successors stood still")
