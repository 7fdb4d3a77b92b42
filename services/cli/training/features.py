"""`assay features`: what a feature spec asks for, what it costs, and the features of a file."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.installation import DEPLOY
from services.cli import reading
from services.cli.files import needing_files
from services.cli.output import notes, print_json, results

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from models.features.explain import EntityRow
    from services.cli.training.entity_costs import StageCosts

app = typer.Typer(
    help="Feature specs.", no_args_is_help=True, epilog="Example: assay features explain deploy/features/fraud.yaml"
)


@app.command(epilog="Example: assay features explain deploy/features/fraud.yaml")
def explain(
    spec: Annotated[Path, typer.Argument(help="A feature spec in YAML.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show each feature of SPEC: what it is, whose, over which window, how exact; and what it costs in memory and time.

    Of each entity also its hop, its partitions and memory by ASSAY_PARTITIONS and ASSAY_ENTITIES_IDS_MAX, and the latency
    that it adds, as `assay bench entities` measured it.
    """
    from rich.table import Table

    from models.features.explain import entity_table, key_bytes, ns_per_event, table
    from models.features.spec_file import load_spec
    from services.cli.training.entity_costs import stage_costs
    from services.settings.entities import EntitiesSettings
    from services.settings.kafka import TopicSettings
    from services.settings.loading import load

    loaded = load_spec(spec, may_learn=True)
    rows, sizes, cost_ns = table(loaded), key_bytes(loaded), round(ns_per_event(loaded))
    stages = (
        entity_table(loaded, load(TopicSettings).partitions, load(EntitiesSettings).ids_max) if loaded.stages else []
    )
    costs = stage_costs() if stages else None
    if json:
        found = {"features": [asdict(row) for row in rows], "bytes_per_id": sizes, "ns_per_event": cost_ns}
        hop = None if costs is None else asdict(costs)
        print_json({**found, **({"entities": [asdict(row) for row in stages], "hop": hop} if stages else {})})
        return
    shown = Table("feature", "what it is", "history of", "window", "resolution", "bytes")
    for row in rows:
        shown.add_row(row.name, row.what, row.key, row.window, row.resolution, str(row.bytes_per_id))
    results.print(shown)
    for key, size in sizes.items():
        results.print(f"Each {key} takes {size} bytes; features that read the same buckets share them.")
    results.print(f"A payment takes about {cost_ns} ns of one core of this machine.")
    if stages:
        _show_entities(stages, costs)


def _show_entities(stages: "list[EntityRow]", costs: "StageCosts | None") -> None:
    from rich.table import Table

    shown = Table("entity", "named by", "features", "hop", "partitions", "bytes an id", "memory at most, MB")
    for row in stages:
        cells = (row.features, row.hop, row.partitions, row.bytes_per_id, row.memory_mb_max)
        shown.add_row(row.entity, row.fields, *(f"{cell:,}" for cell in cells))
    results.print(shown)
    results.print(
        f"A payment makes {len(stages) + 1} hops before it is scored, each a poll and a transaction of `assay entities`. "
        "Memory: of all partitions together, once each holds as many ids as ASSAY_ENTITIES_IDS_MAX allows."
    )
    if costs is not None:
        median, late = costs.of(len(stages))
        results.print(
            f"They add about {median:.0f} ms to the median latency and {late:.0f} ms to its p99, "
            f"and {costs.cpu_us:.0f} us of a core each: measured by `assay bench entities` at {costs.ran_on}."
        )


@app.command(
    epilog="Example: assay features build --map card_id=CUSTOMER_ID --label TX_FRAUD payments.parquet features.parquet"
)
def build(
    source: Annotated[Path, typer.Argument(help="Payments: .csv or .tsv (also .gz, .zst) or .parquet.")],
    target: Annotated[Path, typer.Argument(help="Features: .csv or .parquet; written over.")],
    spec: Annotated[Path, typer.Option(help="A feature spec in YAML.", show_default="the demo's")] = DEPLOY
    / "features"
    / "fraud.yaml",
    mapped: Annotated[
        list[str] | None, typer.Option("--map", help="FIELD=COLUMN, where a column has another name.")
    ] = None,
    source_file: reading.SourceFile = None,
    label: Annotated[str | None, typer.Option(help="Column that says which payments were frauds.")] = None,
    learn: Annotated[
        Path | None,
        typer.Option(
            help="Learn the values of open categories, and write the spec with them to this file (YAML), for "
            "`assay bundle build`."
        ),
    ] = None,
    learn_before: Annotated[
        str | None,
        typer.Option(help="From payments before this day (UTC), such as 2026-03-01: those your model is trained on."),
    ] = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    decimal: reading.Decimal = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    time_start: reading.TimeStart = None,
    without: reading.Without = None,
    words: reading.Words = None,
    partitions: Annotated[
        int, typer.Option(min=1, help="Partitions of the stream: matters to keys other than the card.")
    ] = 4,
    processes: Annotated[int | None, typer.Option(min=1, help="How many at once. Default: one a core.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON, and no progress.")] = False,
) -> None:
    """Compute the features of a file of payments with the stream's fold, partition by partition, in parallel.

    One row out for each row in, in the file's order: transaction_id, is_fraud where there is a label, and the features.
    """
    from rich.progress import Progress

    from models.features.columns import NO_VALUE
    from models.features.layout import id_fields
    from models.features.offline import history_features
    from models.features.spec_file import load_spec

    with needing_files():
        import polars as pl

        from services.cli import tables
        from services.cli.training import learning
    tables.check_target(target)
    learning.check(learn, learn_before)
    loaded = load_spec(spec, may_learn=learn is not None)
    options = reading.options(
        encoding, delimiter, decimal, date_order, time_unit, time_zone, time_start, without, words
    )
    own, told, reads = reading.source_spec(source_file, mapped), list[str](), id_fields(loaded)
    fields = tables.whole(tables.read(source, own, mapped, label, options, loaded, told), source, own)
    reading.show([], [] if json else told)
    loaded, taught = learning.learnt_spec(fields, loaded, learn, learn_before)
    absent = [pl.lit(NO_VALUE).alias(field) for field in reads if field not in fields]
    rows = {column.name: column.to_numpy() for column in fields.with_columns(absent)}
    with Progress(console=notes, disable=json) as progress:
        task = progress.add_task("features")
        features = history_features(
            loaded,
            rows,
            _partition(fields["card_id"], partitions),
            processes,
            lambda done, rows: progress.update(task, completed=done, total=rows),
        )
    features = taught(features)
    tables.write_features(target, fields, loaded.names, features, labelled=label is not None)
    if json:
        print_json({"rows": len(fields), "features": len(loaded.names), "spec": loaded.digest()})
    else:
        results.print(f"{len(loaded.names)} features of {len(fields):,} payments: {target}")


def _partition(card_ids: "pl.Series", partitions: int) -> "NDArray[np.int64]":
    """Where Kafka's own clients put each payment."""
    import numpy as np
    from aiokafka.partitioner import murmur2

    cards, which = np.unique(card_ids.to_numpy().astype(str), return_inverse=True)
    numbers = [(murmur2(card.encode()) & 0x7FFFFFFF) % partitions for card in cards.tolist()]
    return np.array(numbers, np.int64)[which]
