"""Kinds that read a history: what came before of a key, or in the whole stream of a terminal."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Number
from schemas.conditions import Condition, named_problems
from schemas.feature_kinds.base import (
    ID_FIELDS,
    UNIT_MS,
    Duration,
    IdField,
    Name,
    TransformedFeature,
    duration_ms,
    duration_words,
    number_words,
    seconds_words,
)

Aggregation = Literal["count", "sum", "mean", "max", "std", "ratio", "distinct"]

REMEMBERED_MAX = 256
"""Different ids that a novelty feature can remember of one key: 12 bytes each."""

EVER_S = 2**33
"""Seconds: longer than event times reach."""

_WINDOW_WORDS: dict[Aggregation, str] = {
    "count": "payments of this {key} in the last {window}",
    "sum": "sum of this {key}'s {field}s in the last {window}",
    "mean": "mean {field} of this {key} in the last {window}",
    "max": "largest {field} of this {key} in the last {window}",
    "std": "spread (standard deviation) of this {key}'s {field}s in the last {window}",
    "ratio": "{field} relative to the mean of this {key} in the last {window}",
    "distinct": "different {of}s of this {key} in the last {window}",
}
_PROFILE_WORDS = {
    "count": "payments at this terminal in the {window} before the label delay",
    "fraud_rate": "share of frauds at this terminal in the {window} before the label delay",
}
_LABELS_WORDS = {
    "count": "payments of this {key} in the {window}",
    "frauds": "frauds among this {key}'s payments in the {window}",
    "fraud_rate": "share of frauds among this {key}'s payments in the {window}",
    "fraud_subject_rate": "share with a fraud among the other cards that shared this {key} in the {window}",
}


class SinceFeature(TransformedFeature):
    """Seconds since the key's last or first payment."""

    kind: Literal["since"] = Field(description="Seconds since another payment of the same key.")
    key: Name = Field(description="Whose payments.")
    event: Literal["last", "first"] = Field(description="Since the last payment before, or the first one known.")
    at_most: Duration = Field(
        "30d", description="Larger values become this; so does `last` where there is none before."
    )

    @property
    def at_most_ms(self) -> int:
        """The cap in milliseconds."""
        return duration_ms(self.at_most)

    def _plain_words(self, value: float) -> str:
        at_most_s = self.at_most_ms / 1000
        return f"{seconds_words(at_most_s)} or more" if value >= at_most_s * (1 - 1e-6) else seconds_words(value)

    def _derived_words(self) -> str:
        return f"time since this {self.key}'s {self.event} payment"


class WindowFeature(TransformedFeature):
    """An aggregation over the key's payments in a window that ends with the present payment, which it includes."""

    kind: Literal["window"] = Field(
        description="An aggregation over the key's recent payments, the present one included."
    )
    key: Name = Field(description="Whose payments.")
    aggregation: Aggregation = Field(description="ratio: the present value divided by the window's mean.")
    window: Duration = Field(description="One of the spec's windows.")
    field: Name = Field(
        "amount",
        description="Of which number: amount, or a number or flag of the source spec; payments without it do not count. "
        "count and distinct need none.",
    )
    where: Condition | None = Field(
        None,
        description="Only payments for which this holds count, the present one too; its paths are names of attributes.",
    )
    empty: Number | None = Field(
        None,
        description="Value of mean, max, std and ratio where no payment counts; by default 0. Only with where, or another "
        "field than amount.",
    )
    of: IdField | None = Field(
        None, description="distinct: of which id. Estimated from 64 bits a bucket: to about a tenth, at most 266."
    )

    @property
    def plain(self) -> bool:
        """Whether it is of all payments and their amounts, which each has."""
        return self.field == "amount" and self.where is None

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if self.plain and self.empty is not None:
            yield "empty", "the payment itself always counts here; remove empty"
        if not self.plain and self.aggregation == "distinct":
            field = "field" if self.where is None else "where"
            yield field, "distinct counts ids of all payments; remove it, or use kind: novelty with part: count"
        if self.where is not None:
            yield from (("where", problem) for problem in named_problems(self.where))

    def _plain_words(self, value: float) -> str:
        return f"{number_words(value)} times" if self.aggregation == "ratio" else number_words(value)

    def _derived_words(self) -> str:
        words = _WINDOW_WORDS[self.aggregation].format(
            key=self.key,
            field=self.field.replace("_", " "),
            of=(self.of or "").removesuffix("_id"),
            window=duration_words(self.window),
        )
        if self.aggregation == "count" and self.field != "amount":
            words += f", with {self.field.replace('_', ' ')}"
        return words if self.where is None else f"{words}, where {self.where.words()}"


class ProfileFeature(TransformedFeature):
    """What the whole stream, all cards together, knows of the payment's terminal: by day, and once labels had their time."""

    kind: Literal["profile"] = Field(description="The terminal's history in the whole stream, by day, with labels.")
    aggregation: Literal["count", "fraud_rate"] = Field(
        description="count: payments; fraud_rate: share of them labelled fraud, 0 where there are none."
    )
    window: Duration = Field(
        description="Whole days; the last of them is the spec's label_delay before the day of the payment."
    )

    @property
    def window_days(self) -> int:
        """Length in days."""
        return duration_ms(self.window) // UNIT_MS["d"]

    def _plain_words(self, value: float) -> str:
        return f"{value:.1%}" if self.aggregation == "fraud_rate" else number_words(value)

    def _derived_words(self) -> str:
        return _PROFILE_WORDS[self.aggregation].format(window=duration_words(self.window))


class LabelsFeature(TransformedFeature):
    """What the labels said of an entity's payments, in a window that ends a label delay before the present one."""

    kind: Literal["labels"] = Field(description="What labels say of an entity's payments, once they had their time.")
    key: Name = Field(description="Whose payments: one of the entities.")
    aggregation: Literal["count", "frauds", "fraud_rate", "fraud_subject_rate"] = Field(
        description="count: payments; frauds: those labelled fraud; fraud_rate: their share; fraud_subject_rate: share of "
        "those with a payment labelled fraud among the other subjects (cards) that shared the entity, estimated from 64 bits a "
        "bucket; a verdict taken back does not count there. Rates are 0 where there are no payments."
    )
    window: Duration = Field(description="One of the spec's windows.")
    label_delay: Duration = Field(
        "7d",
        description="After which the label of a payment is taken as known: the window ends so long before the present bucket. "
        "A number of whole buckets of the window.",
    )

    def _plain_words(self, value: float) -> str:
        return f"{value:.1%}" if self.aggregation in ("fraud_rate", "fraud_subject_rate") else number_words(value)

    def _derived_words(self) -> str:
        words = _LABELS_WORDS[self.aggregation].format(key=self.key, window=duration_words(self.window))
        return f"{words} before the label delay of {duration_words(self.label_delay)}"


class NoveltyFeature(TransformedFeature):
    """Whether a key has met something before: a device, a merchant, a country."""

    kind: Literal["novelty"] = Field(description="Whether, and how often, the key met this id or category before.")
    key: Name = Field(description="Whose meetings: a card's, a device's.")
    of: IdField = Field(description="Whom or what it meets: an id, an address, a category; terminal_id, country ...")
    part: Literal["first", "count", "since"] = Field(
        description="first: 1 where it meets this one for the first time; count: different ones, the present one included; "
        "since: seconds since it last met this one."
    )
    window: Duration | None = Field(None, description="How far back it looks. Default: as far as its history goes.")
    remembered: Annotated[int, Field(ge=1, le=REMEMBERED_MAX)] = Field(
        16,
        description="So many different ones are remembered for each key, those met last; exact while it meets no more in "
        "the window. Features of the same key and id share the largest.",
    )
    at_most: Duration = Field("30d", description="since: larger values become this, and it stands for one never met.")
    missing: Number | None = Field(
        None, description="Value of first and since where the payment lacks the id. Needed where it may lack it."
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if self.of in ("amount", "event_time"):
            yield "of", f"{self.of} names no one; write {', '.join(ID_FIELDS)} or an id of the source spec"
        if self.part == "count" and self.missing is not None:
            yield "missing", "count is known without the id, too; remove missing"

    @property
    def window_s(self) -> int:
        """How far back it looks, in seconds: all of time without a window."""
        return EVER_S if self.window is None else duration_ms(self.window) // 1000

    @property
    def at_most_s(self) -> int:
        """The cap of `since`."""
        return duration_ms(self.at_most) // 1000

    def _plain_words(self, value: float) -> str:
        if self.part == "first":
            return {1.0: "yes", 0.0: "no"}.get(value, number_words(value))
        if self.part == "since" and value >= 0:
            capped = value >= self.at_most_s * (1 - 1e-6)
            return f"{seconds_words(self.at_most_s)} or more, or never" if capped else seconds_words(value)
        return number_words(value) + (" or more" if self.part == "count" and value >= self.remembered else "")

    def _derived_words(self) -> str:
        of, window = self.of.removesuffix("_id").replace("_", " "), ""
        if self.window is not None:
            window = f" in the last {duration_words(self.window)}"
        if self.part == "first":
            return f"first time that this {self.key} meets this {of}{window}"
        if self.part == "count":
            return f"different values of {of} that this {self.key} met{window}"
        return f"time since this {self.key} last met this {of}{window}"


class PlaceFeature(TransformedFeature):
    """How far a key has come since its last payment with a place."""

    kind: Literal["place"] = Field(description="How far the key has come since its last payment with a place.")
    key: Name = Field(description="Whose places: a card's, a device's.")
    attribute: Name = Field(description="Which place: an attribute of type geo.")
    part: Literal["distance", "speed"] = Field(
        description="distance: km on the great circle; speed: km/h, of less than a second as of one."
    )
    at_most: Annotated[float, Field(ge=1e-6, le=1e9)] = Field(25_000.0, description="Larger values become this.")
    missing: Number = Field(-1.0, description="Value where this payment, or all before it, have no place.")

    def _plain_words(self, value: float) -> str:
        return f"{number_words(value)} {'km' if self.part == 'distance' else 'km/h'}"

    def value_words(self, value: float) -> str:
        """In km or km/h, or that it is not known."""
        return "not known" if self.missing < 0 and value == self.missing else super().value_words(value)

    def _derived_words(self) -> str:
        what = "distance" if self.part == "distance" else "speed of travel"
        return f"{what} from this {self.key}'s last {self.attribute.replace('_', ' ')}"


HistoryFeature = SinceFeature | WindowFeature | LabelsFeature | NoveltyFeature | PlaceFeature | ProfileFeature
