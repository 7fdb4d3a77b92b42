"""The demo's output: sentences, then a live view; without a terminal, a line now and then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live

from services.cli.demo.observer import Seen
from services.cli.demo.view import Addresses, alerts, line, render
from services.cli.output import notes, results
from services.clock import monotonic_s

DRAW_INTERVAL_S = 0.25
LINE_INTERVAL_S = 5.0


class Screen:
    """quiet: nothing on stdout, and nothing at all where stderr is not a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self.talks = not quiet or notes.is_terminal

    def say(self, sentence: str) -> None:
        """A step, on stderr."""
        if self.talks:
            notes.print(sentence)

    @contextmanager
    def live(self, addresses: Addresses) -> Iterator[Callable[[Seen, str], None]]:
        """A function that draws, as often as it is worth it."""
        on_terminal = results.is_terminal and not self._quiet
        interval_s, drawn_s = (DRAW_INTERVAL_S if on_terminal else LINE_INTERVAL_S), monotonic_s()
        if not on_terminal:
            self.say(f"Kafka {addresses.bootstrap}, metrics {' '.join(addresses.metrics)}, logs {addresses.logs}")
        with Live(console=results, auto_refresh=False, transient=False) if on_terminal else _nothing() as live:
            last: Seen | None = None

            def draw(seen: Seen, phase: str) -> None:
                nonlocal drawn_s, last
                last = seen
                if monotonic_s() - drawn_s < interval_s:
                    return
                drawn_s = monotonic_s()
                if live is None:
                    self.say(line(seen, phase))
                else:
                    live.update(render(seen, addresses, phase), refresh=True)

            yield draw
        if not on_terminal and self.talks and last is not None:
            notes.print(alerts(last))


@contextmanager
def _nothing() -> Iterator[None]:
    yield
