"""Training features of a billion payments: the stream's own fold, mapped over cards and terminals by Ray.

    pip install 'assay-scoring[train]' ray pandas pyarrow
    python docs/examples/features_on_ray.py payments.parquet features

Spark maps the same two functions: `frame.groupBy("card_group").applyInPandas(...)`. Groups must keep a card (a terminal)
together, nothing else; a group must fit one worker's memory. Columns: transaction_id, event_time_ms, card_id, terminal_id,
amount, is_fraud.
"""

import sys
import zlib
from pathlib import Path

import pandas as pd
import ray

from models.features.offline import partition_features, terminal_features
from models.features.spec_file import load_spec
from schemas.feature_kinds.history import ProfileFeature
from schemas.feature_spec import FeatureSpec

GROUPS = 64


def features_of(payments: "ray.data.Dataset", spec: FeatureSpec, groups: int = GROUPS) -> "ray.data.Dataset":
    """A row a payment: transaction_id, is_fraud and the spec's features, in any order."""
    profiled = [feature.name for feature in spec.features if isinstance(feature, ProfileFeature)]
    own = [name for name in spec.names if name not in profiled]

    def by_card(rows: pd.DataFrame) -> pd.DataFrame:
        features = pd.DataFrame(partition_features(spec, rows), columns=spec.names)[own]
        return pd.concat([rows[["transaction_id", "is_fraud"]].reset_index(drop=True), features], axis=1)

    def by_terminal(rows: pd.DataFrame) -> pd.DataFrame:
        features = pd.DataFrame(terminal_features(spec, rows), columns=spec.names)[profiled]
        return pd.concat([rows[["transaction_id"]].reset_index(drop=True), features], axis=1)

    def grouped(field: str) -> "ray.data.grouped_data.GroupedData":
        def numbered(rows: pd.DataFrame) -> pd.DataFrame:
            return rows.assign(group=[zlib.crc32(value.encode()) % groups for value in rows[field]])

        return payments.map_batches(numbered, batch_format="pandas").groupby("group")

    cards = grouped("card_id").map_groups(by_card, batch_format="pandas")
    if not profiled:
        return cards
    terminals = grouped("terminal_id").map_groups(by_terminal, batch_format="pandas")
    return cards.join(terminals, join_type="inner", num_partitions=groups, on=("transaction_id",))


if __name__ == "__main__":
    source, target = sys.argv[1:3]
    spec = load_spec(Path("deploy/features/fraud.yaml"))
    features_of(ray.data.read_parquet(source), spec).write_parquet(target)
