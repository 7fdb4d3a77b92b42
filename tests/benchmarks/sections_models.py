"""Sections of docs/benchmarks.md on features, models and reasons: the words that belong to the figures stand beside them."""

from tests.benchmarks.record import Record, table
from tests.benchmarks.sections_streams import three

HOW = {
    "fold": "in the stream's batches of 2,000, state kept",
    "polars": "the whole file at once, sorted by card, on every core",
    "pandas": "the whole file at once",
    "river": "one event at a time",
}


def features(record: Record) -> list[str]:
    """Cost of an event, and growth."""
    figures = record.figures
    rows = [(name, HOW[name], *three(figures["rounds"][name])) for name in HOW]
    by_cards = figures["ns_per_event_by_cards"]
    return [
        f"`assay bench features`: {figures['records']:,} simulated payments of 5,000 cards, the default spec (five windows by card), one",
        "process. The peers compute count and mean of each window; the fold also everything else that the spec asks for.",
        "",
        *table(("contender", "how it works", "minimum, ns an event", "median", "maximum"), rows, left=2),
        "",
        f"Target: under 500 ns. pandas takes {figures['pandas_to_fold']:.0f} times as long, target 100: its grouped rolling windows",
        "are compiled too. Polars is fast where the whole history is one file; it keeps no state from one batch to the next, so it",
        "cannot run in a stream.",
        "",
        *table(
            ("cards, all known, drawn evenly", *(f"{int(n):,}" for n in by_cards)),
            [("ns an event", *by_cards.values())],
        ),
        "",
        f"{figures['slowdown_at_1m_cards']:.0%} more at a million cards, target 20 %: a card drawn at random is in no cache. It is a small part",
        f"of a scorer's time for a record. Measured memory: {figures['bytes_per_card']} bytes a card.",
    ]


FURTHER = {
    "default": "the default ones; the record has no attributes",
    "attributes": "and 26 attributes as they are",
    "windows": "and three windows over attributes",
    "novelty": "and three of novelty",
    "all": "and all of these",
}


def attributes(record: Record) -> list[str]:
    """Decoding and folding, by the kinds of features."""
    figures = record.figures
    rows = [
        (words, *(f"{figures[f'{name}_{part}_ns']:,}" for part in ("decode", "fold")))
        for name, words in FURTHER.items()
    ]
    return [
        f"`assay bench attributes`: {figures['events']:,} events, 30 attributes in each but the first row's, batches of 256, processor time",
        "of one core.",
        "",
        *table(("features", "decode, ns an event", "fold"), rows),
    ]


def models(record: Record) -> list[str]:
    """Rows a second by width and batch."""
    figures = record.figures
    rows = [
        (
            row["device"],
            row["times_as_wide"],
            f"{row['batch']:,}",
            *three(row["rounds"]),
            f"{row['of_limit']:.0%}",
        )
        for row in figures["rows"]
    ]
    limits = ", ".join(f"{name} {value:,.0f} GFLOP/s" for name, value in figures["limit_gflops"].items())
    gpu = (
        [
            f"Card: {figures['card']}. Rows come from the host's memory and scores go back to it; the copy to the card alone reaches",
            f"{figures['copy_gb_per_s']} GB/s, which is {figures['copy_gb_per_s'] * 1e9 / 400:,.0f} rows/s of 100 inputs. The host's",
            f"buffers are {'' if figures['page_locked'] else 'not '}page-locked. TF32 and TensorRT off.",
            "",
        ]
        if "card" in figures
        else []
    )
    return [
        "`assay bench models`: the reference networks (classifier 8-10-1, VAE 100-256-128-64-32-…-100) in one graph, and the VAE 10 and",
        "100 times as wide inside, with random weights; batches that would take over two seconds are left out.",
        "",
        *gpu,
        f"Bound: {limits}, the most that one large matrix product reached in the same run (CPU: one thread, as a session has it).",
        "",
        *table(
            ("device", "times as wide", "batch", "minimum, rows/s", "median", "maximum", "of the bound"), rows, left=1
        ),
    ]


def reasons(record: Record) -> list[str]:
    """What an alert's reasons cost."""
    figures = record.figures
    rows = [
        (trigger, coalitions, *(f"{value:.3f}" for value in row.values()))
        for trigger, by_coalitions in figures["agreement"].items()
        for coalitions, row in by_coalitions.items()
    ]
    return [
        f"`assay bench reasons`: {figures['alerts']} alerts of the committed fraud bundle. {figures['rows_per_alert_mean']:.0f} rows of the model an",
        f"alert, at most {figures['rows_per_alert_max']}; {figures['ms_per_alert']:.2f} ms of one core each where a batch holds them together, "
        f"{figures['ms_per_alert_alone']:.2f} ms alone;",
        f"a payment's own scores take {figures['ms_per_payment_scored']:.3f} ms. Agreement with 16,384 coalitions:",
        "",
        *table(
            ("score", "coalitions", "same first reason", "shared of the four", "error, share of the total"),
            rows,
            left=1,
        ),
    ]
