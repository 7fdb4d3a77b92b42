"""Columns of times: epochs in any unit, ISO, dates with the day or the month first. What is ambiguous is asked for."""

from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from models.files.months import UnknownMonthError, months_as_numbers
from models.files.numbers import is_missing, read_numbers
from models.files.options import UNIT_OF, DateOrder, ReadOptions, TableError
from schemas.times import UNITS_MS, unit_of

_CLOCK = r"(?:[T ,]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp]\.?[Mm]\.?)?)?"
_ZONE = r"\s*(Z|z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?$"
_YEAR_FIRST = rf"^(\d{{4}})[-/. ](\d{{1,2}})[-/. ](\d{{1,2}}){_CLOCK}{_ZONE}"
_YEAR_LAST = rf"^(\d{{1,2}})[-/. ](\d{{1,2}})[-/. ](\d{{4}}|\d{{2}}){_CLOCK}{_ZONE}"
_COMPACT = r"^((?:19|20)\d{2})(\d{2})(\d{2})[T ]?(?:(\d{2})(\d{2})(?:(\d{2})(\d{3})?)?)?(Z)?$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_TIME_OF_DAY = r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?$"
_PARTS = ("a", "b", "c", "hour", "minute", "second", "fraction", "half", "zone")
_ORDERS: dict[DateOrder, tuple[str, str, str]] = {
    "dmy": ("c", "b", "a"),
    "mdy": ("c", "a", "b"),
    "ymd": ("a", "b", "c"),
}
_WORDS: dict[DateOrder, str] = {"dmy": "the day first", "mdy": "the month first", "ymd": "the year first"}


EXCEL = {"excel": date(1899, 12, 30), "excel-1904": date(1904, 1, 1)}
EXCEL_DAYS = (29_221.0, 73_051.0)
"""1980 to 2100, counted as `excel`."""

DAY_MS = 86_400_000


class Times(NamedTuple):
    """ms since 1970 UTC, int64, null where there is none; and what was found out about the column, in words."""

    ms: pl.Series
    notes: list[str]


def read_times(text: pl.Series, name: str, options: ReadOptions, lines: pl.Series) -> Times:
    """The times of a column of text. Raises TableError where the whole column leaves open what they are."""
    frame = text.to_frame("v").with_columns(line=lines)
    if options.time_unit in EXCEL:
        return _spreadsheet_days(text, name, options, lines)
    whole = _whole_numbers(text)
    if whole is not None and not (options.time_unit is None and options.time_start is None and _is_compact(text)):
        return Times(*_epochs(frame, whole, name, options))
    frame = frame.with_columns(v=pl.col("v").str.strip_chars())
    frame = frame.with_columns(v=pl.when(~is_missing(pl.col("v"))).then("v"))
    held = frame["v"].drop_nulls()
    if len(held) and held.str.contains(_TIME_OF_DAY).all():
        raise TableError(
            f"Column {name} holds times of day without a date: join it with the columns of the date, for instance "
            f"--map event_time_ms=Year+Month+Day+{name}"
        )
    number = _matching(frame, _NUMBER)
    if options.time_unit is None and options.time_start is None and _is_compact(held):
        return _dates(frame, name, options, compact_only=True)
    if number.any():
        numbers = frame.with_columns(v=pl.when(number).then("v"))
        ms, notes = _epochs(numbers, numbers["v"].cast(pl.Int64, strict=False), name, options)
        dates = _matching(frame, _YEAR_FIRST) | _matching(frame, _YEAR_LAST)
        if not dates.any():
            return Times(ms, notes)  # what else is there is no time: its row is refused, alone
        raise TableError(
            f"Column {name} holds bare numbers (first in line {frame.filter(number)['line'][0]}) and dates (first in line "
            f"{frame.filter(dates)['line'][0]}): write all times in one way."
        )
    return _dates(frame, name, options, compact_only=False)


def from_datetimes(column: pl.Series, name: str, options: ReadOptions) -> pl.Series:
    """ms since 1970 UTC of a Parquet column of dates or times. Raises TableError where they have no zone and none is given."""
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        return column.dt.epoch("ms")
    if isinstance(column.dtype, pl.Datetime) or column.dtype == pl.Date:
        return _in_zone(column.cast(pl.Datetime("us")), name, options).dt.epoch("ms")
    raise TableError(f"Column {name} holds times of day or durations, no points in time: give dates with times.")


def _spreadsheet_days(text: pl.Series, name: str, options: ReadOptions, lines: pl.Series) -> Times:
    """Days since a spreadsheet's first day, with the time as a fraction: local time, so a zone is needed."""
    if options.time_start is not None:
        raise TableError("--time-unit excel has a start of its own: leave out --time-start.")
    days, _ = read_numbers(text, name, options, lines)
    first = EXCEL[str(options.time_unit)]
    start_ms = round(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp() * 1000)
    naive = ((days * DAY_MS).round().cast(pl.Int64, strict=False) + start_ms).cast(pl.Datetime("ms"))
    local = _in_zone(naive.cast(pl.Datetime("us")), name, options)
    return Times(local.dt.epoch("ms"), [f"{name}: read as a spreadsheet's days since {first.isoformat()}"])


def _whole_numbers(text: pl.Series) -> pl.Series | None:
    """int64, where all cells that hold something are digits alone: the commonest column, read at once."""
    found = text.cast(pl.Int64, strict=False)
    return found if found.null_count() == text.null_count() < len(text) else None


def _is_compact(given: pl.Series) -> bool:
    """Whether all are dates without separators: no time since 1970 in a unit of `TimeUnit` has 8, 12, 14 or 17 such digits."""
    held = given.drop_nulls()
    if not held.head(1).str.contains(_COMPACT).all() or held.is_empty() or not held.str.contains(_COMPACT).all():
        return False
    return not any(unit_of(float(value)) in UNIT_OF.values() for value in held.head(1) if value.isdigit())


def _matching(frame: pl.DataFrame, pattern: str) -> pl.Series:
    return frame["v"].str.contains(pattern).fill_null(False)


def _epochs(frame: pl.DataFrame, whole: pl.Series, name: str, options: ReadOptions) -> tuple[pl.Series, list[str]]:
    """whole: int64 of those that are whole numbers."""
    all_whole = whole.null_count() == frame["v"].null_count()
    values, notes = (whole if all_whole else frame["v"]).cast(pl.Float64, strict=False), list[str]()
    if options.time_start is not None:
        unit = UNIT_OF[options.time_unit or "s"]
        start_ms = round(options.time_start.timestamp() * 1000)
        return (values * UNITS_MS[unit]).round().cast(pl.Int64, strict=False) + start_ms, [
            f"{name}: read as {unit} since {options.time_start.isoformat()}"
        ]
    if options.time_unit is not None:
        unit = UNIT_OF[options.time_unit]
    else:
        low, high = (float(values.min() or 0.0), float(values.max() or 0.0))  # type: ignore[arg-type]
        units = {found if (found := unit_of(value)) in UNIT_OF.values() else None for value in (low, high)}
        found = next(iter(units)) if len(units) == 1 else None
        if found is None:
            if EXCEL_DAYS[0] <= low and high < EXCEL_DAYS[1]:
                line = frame["line"][int(values.arg_min() or 0)]
                raise TableError(
                    f"Column {name} (line {line}) holds numbers such as a spreadsheet counts days with: where that is so, say "
                    "--time-unit excel, else the unit with --time-unit s, ms, us or ns."
                )
            why = (
                "counts from a start of its own or is in no unit that fits: no time from 1980 to 2100 begins there. Where it "
                "is seconds from a start, give that with --time-start, for instance --time-start 2013-09-01T00:00:00Z; give a "
                "column of dates"
                if not any(units)
                else "fits no one unit of time since 1970 in all its rows"
            )
            line = frame["line"][int(values.arg_min() or 0)]
            raise TableError(f"Column {name} (line {line}) {why}, or say the unit with --time-unit s, ms, us or ns.")
        unit = str(found)
        if unit != "milliseconds":
            notes.append(f"{name}: read as {unit} since 1970")
    if unit == "milliseconds":
        return whole if all_whole else whole.fill_null(values.floor().cast(pl.Int64, strict=False)), notes
    if unit == "seconds":
        return (values * 1000.0).round().cast(pl.Int64, strict=False), notes
    per_ms = round(1 / UNITS_MS[unit])
    return (whole // per_ms).fill_null((values / per_ms).floor().cast(pl.Int64, strict=False)), notes


def _dates(frame: pl.DataFrame, name: str, options: ReadOptions, *, compact_only: bool) -> Times:
    notes: list[str] = []
    frame = frame.with_columns(v=_with_months(frame, name))
    if compact_only:
        groups = frame["v"].str.extract_groups(_COMPACT).struct.unnest()
        groups.columns = ["a", "b", "c", "hour", "minute", "second", "fraction", "zone"]
        parts = groups.with_columns(half=pl.lit(None, pl.String))
    else:
        first = frame["v"].str.extract_groups(_YEAR_FIRST).struct.unnest()
        last = frame["v"].str.extract_groups(_YEAR_LAST).struct.unnest()
        first.columns = last.columns = list(_PARTS)
        is_last = last["a"].is_not_null()
        order, notes = _order(last.with_columns(line=frame["line"]).filter(is_last), name, options)
        parts = first
        if order is not None:
            year, month, day = _ORDERS[order]
            turned = last.with_columns(a=pl.col(year), b=pl.col(month), c=pl.col(day))
            parts = pl.select(
                [pl.when(is_last).then(turned[part]).otherwise(first[part]).alias(part) for part in _PARTS]
            )
    naive = parts.select(_moment())["moment"]
    zone = parts["zone"]
    utc = naive.dt.replace_time_zone("UTC") - _offset(zone)
    without = zone.is_null() & naive.is_not_null()
    if without.any():
        line = int(frame["line"].filter(without)[0])
        local = _in_zone(naive, name, options, line)
        utc = pl.select(v=pl.when(without).then(local).otherwise(utc))["v"]
    return Times(utc.dt.epoch("ms"), notes)


def _with_months(frame: pl.DataFrame, name: str) -> pl.Series:
    try:
        return months_as_numbers(frame["v"])
    except UnknownMonthError as error:
        line = frame["line"][error.row]
        raise TableError(
            f"Column {name} has a month as a word that is not known (line {line}): write months as numbers, or in English."
        ) from None


def _order(parts: pl.DataFrame, name: str, options: ReadOptions) -> tuple[DateOrder | None, list[str]]:
    """Which of day, month and year comes first, by all rows. Raises TableError where they do not show it."""
    if parts.is_empty():
        return None, []
    short = parts["c"].str.len_chars() == 2
    if short.any():
        raise TableError(
            f"Column {name} has years of two digits (first in line {parts['line'].filter(short)[0]}), which do not say the "
            "century: write years with four digits."
        )
    if options.date_order is not None and options.date_order != "ymd":
        return options.date_order, []
    orders: list[DateOrder] = ["dmy", "mdy"]
    dates = {}
    for order in orders:
        year, month, day = _ORDERS[order]
        text = pl.concat_str(pl.col(year), pl.col(month).str.zfill(2), pl.col(day).str.zfill(2), separator="-")
        dates[order] = parts.select(d=text.str.to_date("%Y-%m-%d", strict=False))["d"]
    right = {order: found.is_not_null() for order, found in dates.items()}
    shows = {
        order: parts["line"].filter(right[order] & ~_any([right[other] for other in orders if other != order]))
        for order in orders
    }
    shown_by = [order for order in orders if len(shows[order])]
    if len(shown_by) > 1:
        one, other = shown_by[:2]
        raise TableError(
            f"Column {name} has dates with {_WORDS[one]} (line {shows[one][0]}) and with {_WORDS[other]} (line "
            f"{shows[other][0]}): write all in one way, or say which with --date-order {one} or {other}."
        )
    if shown_by:
        line = shows[shown_by[0]][0]
        return shown_by[0], [f"{name}: dates have {_WORDS[shown_by[0]]}, as line {line} shows"]
    if len({tuple(found.to_list()) for found in dates.values()}) == 1:
        return orders[0], []
    raise TableError(
        f"Column {name} has dates as 01/02/2026, and no row shows whether the day or the month comes first: say it with "
        f"--date-order {' or '.join(orders)}."
    )


def _any(masks: list[pl.Series]) -> pl.Series:
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return found


def _moment() -> pl.Expr:
    """A naive time in us of a row's parts; null where there is no such day or time."""
    hour = pl.col("hour").cast(pl.Int32, strict=False).fill_null(0)
    afternoon = pl.col("half").str.to_lowercase().str.starts_with("p")
    twelve = pl.when(hour.is_between(1, 12)).then(hour % 12 + pl.when(afternoon).then(12).otherwise(0))
    hours = pl.when(pl.col("half").is_not_null()).then(twelve).otherwise(hour)
    text = pl.format(
        "{}-{}-{} {}:{}:{}.{}",
        *("a", pl.col("b").str.zfill(2), pl.col("c").str.zfill(2), hours.cast(pl.String).str.zfill(2)),
        *(pl.col("minute").fill_null("00"), pl.col("second").fill_null("00")),
        pl.col("fraction").fill_null("0").str.slice(0, 6).str.pad_end(6, "0"),
    )
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.6f", strict=False, time_unit="us").alias("moment")


def _offset(zone: pl.Series) -> pl.Series:
    """duration[us]: how far a zone such as +02:00 is ahead of UTC."""
    parts = zone.str.extract_groups(r"^([+-])(\d{2}):?(\d{2})?$").struct.unnest()
    sign, hours, minutes = (pl.col(column) for column in parts.columns)
    count = hours.cast(pl.Int64).fill_null(0) * 60 + minutes.cast(pl.Int64).fill_null(0)
    signed = pl.when(sign == "-").then(-count).otherwise(count)
    return parts.select(v=pl.duration(minutes=signed, time_unit="us"))["v"]


def _in_zone(naive: pl.Series, name: str, options: ReadOptions, line: int | None = None) -> pl.Series:
    """Local times in UTC; null where the clocks skip or repeat them. Raises TableError where no zone is given."""
    where = "" if line is None else f" (first in line {line})"
    if options.time_zone is None:
        raise TableError(
            f"Column {name} holds times without a zone{where}: say which zone they are in with --time-zone, for instance "
            "--time-zone UTC or --time-zone Europe/Berlin."
        )
    try:
        ZoneInfo(options.time_zone)
    except (KeyError, ValueError, OSError):
        raise TableError(
            f"--time-zone {options.time_zone} is not known: give for instance UTC or Europe/Berlin."
        ) from None
    local = naive.dt.replace_time_zone(options.time_zone, ambiguous="null", non_existent="null")
    return local.dt.convert_time_zone("UTC")
