"""What the demo draws."""

from rich.console import Console

from schemas.alert import Alert, Reason
from services.cli.demo.observer import Seen
from services.cli.demo.view import Addresses, line, render

CARD = "card-abcdefgh"
ADDRESSES = Addresses("127.0.0.1:9092", ("http://127.0.0.1:9464/metrics",), ("transactions", "scores"), ".assay/demo")


def seen() -> Seen:
    """A second of traffic with one alert."""
    made = Seen(scores=2000, dead_letters=3, alerts=1, lag=17, inputs_per_s=2010.4, outputs_per_s=1990.6)
    made.model = "fraud/1@cpu"
    made.latencies.add([4, 5, 6, 90])
    reason = Reason(feature="amount", value=366.7, contribution=0.4, score="probability", text="amount: 366.7")
    made.newest.append(
        Alert(
            transaction_id="tx-1",
            event_time_ms=1,
            card_id=CARD,
            probability=0.93,
            reconstruction_error=0.1,
            anomaly_percentile=99.7,
            alert=True,
            model="fraud/1@cpu",
            terminal_id="t-1",
            amount=366.7,
            currency="EUR",
            triggers=("probability",),
            reasons=(reason,),
        )
    )
    return made


def drawn(state: Seen, width: int = 100) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render(state, ADDRESSES, "streaming"))
    return capture.get()


def test_the_view_shows_figures_alerts_with_reasons_and_addresses() -> None:
    """All that a newcomer looks for, and no whole card id."""
    text = drawn(seen())
    for expected in ("2,010/s", "1,991/s", "17", "5 ms", "90 ms", "1 (0.05%)", "fraud/1@cpu", "tx-1", "amount: 366.7"):
        assert expected in text
    for address in (ADDRESSES.bootstrap, *ADDRESSES.metrics, *ADDRESSES.topics):
        assert address in text
    assert CARD not in text
    assert "***efgh" in text


def test_the_view_fits_a_terminal_of_24_lines() -> None:
    """With as many alerts as are shown, and long reasons."""
    state = seen()
    alert = state.newest[0]
    long = alert.reasons[0].model_copy(update={"text": "word " * 40})
    state.newest.extend([alert.model_copy(update={"reasons": (long,) * 4})] * 10)
    assert len(drawn(state, width=80).splitlines()) <= 24


def test_nothing_seen_yet_can_be_drawn() -> None:
    """Before the first score."""
    assert "no alert yet" in drawn(Seen())
    assert "p50 -" in line(Seen(), "streaming")
