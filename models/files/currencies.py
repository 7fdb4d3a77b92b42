"""Which rows of a file are in a currency that a feature spec does not take: as the stream's parser refuses such events."""

import polars as pl

from schemas.derived import Currencies


def currency_problems(fields: pl.DataFrame, currencies: Currencies | None) -> pl.Series:
    """For each row what is wrong with its currency, or null."""
    if currencies is None:
        return pl.Series([None] * len(fields), dtype=pl.String)
    found = fields["currency"] if "currency" in fields else pl.Series([None] * len(fields), dtype=pl.String)
    words = f"the currency is none of the feature spec's ({', '.join(currencies.codes)}): add a rate, or leave it out"
    taken = found.is_in(list(currencies.codes)).fill_null(currencies.missing is not None)
    return pl.select(pl.when(~taken).then(pl.lit(words)).alias("why"))["why"].cast(pl.String)
