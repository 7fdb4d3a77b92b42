"""Draws what the observer saw."""

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.cli.demo.observer import Seen
from services.cli.masking import masked
from services.cli.output import shown


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to look from outside."""

    bootstrap: str
    metrics: tuple[str, ...]
    topics: tuple[str, ...]
    logs: str


def render(seen: Seen, addresses: Addresses, phase: str) -> RenderableType:
    """The live view."""
    share = seen.alerts / seen.scores if seen.scores else 0.0
    figures = Table.grid(padding=(0, 3), expand=True)
    figures.add_row("rate in", "rate out", "lag", "latency p50", "latency p99", "alerts", "dead letters", style="dim")
    figures.add_row(
        f"{seen.inputs_per_s:,.0f}/s",
        f"{seen.outputs_per_s:,.0f}/s",
        f"{seen.lag:,}",
        _ms(seen.latencies.recent_percentile_ms(50)),
        _ms(seen.latencies.recent_percentile_ms(99)),
        f"{seen.alerts:,} ({share:.2%})",
        f"{seen.dead_letters:,}",
        style="bold",
    )
    where = Text(style="dim")
    where.append(f"Kafka {addresses.bootstrap}   metrics {'  '.join(addresses.metrics)}   logs {addresses.logs}\n")
    where.append(f"topics {'  '.join(addresses.topics)}")
    model = Text(shown(seen.model)) if seen.model else None
    return Group(Panel(figures, title=f"Assay: {phase}", subtitle=model), alerts(seen), where)


def line(seen: Seen, phase: str) -> str:
    """The same in one line, where there is no terminal."""
    return (
        f"{phase}: {seen.inputs_per_s:,.0f}/s in, {seen.outputs_per_s:,.0f}/s out, lag {seen.lag:,}, "
        f"p50 {_ms(seen.latencies.recent_percentile_ms(50))}, p99 {_ms(seen.latencies.recent_percentile_ms(99))}, "
        f"{seen.alerts:,} alerts, {seen.dead_letters:,} dead letters"
    )


def alerts(seen: Seen) -> RenderableType:
    """Two lines for each: the payment, and why."""
    lines = [Text("newest alerts" if seen.newest else "no alert yet", style="dim")]
    for alert in seen.newest:
        lines.append(
            Text(
                shown(
                    f"{alert.transaction_id}  card {masked(alert.card_id)}  {alert.amount:,.2f} {alert.currency or ''}  "
                    f"fraud {alert.probability:.0%}  anomaly {alert.anomaly_percentile:.1f}"
                ),
                style="bold",
                no_wrap=True,
                overflow="ellipsis",
            )
        )
        why = "; ".join(shown(reason.text) for reason in alert.reasons)
        lines.append(Text(f"  {why}", no_wrap=True, overflow="ellipsis"))
    return Group(*lines)


def _ms(value: int | None) -> str:
    return "-" if value is None else f"{value:,} ms"
