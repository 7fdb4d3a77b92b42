"""Files in the layouts of five public data sets, made up: the same columns, forms and oddities, none of their rows."""

import csv
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
FRAUD_SHARE = 0.03
Row = list[object]


def paysim(draw: random.Random, rows: int) -> Iterator[Row]:
    """Hours from no stated start; five kinds, two of which hold the frauds."""
    yield ["step", "type", "amount", "nameOrig", "oldbalanceOrg", "newbalanceOrig", "nameDest", "oldbalanceDest",
           "newbalanceDest", "isFraud", "isFlaggedFraud"]  # fmt: skip
    for number in range(rows):
        fraud = draw.random() < FRAUD_SHARE
        kind = draw.choice(
            ("TRANSFER", "CASH_OUT") if fraud else ("TRANSFER", "CASH_OUT", "PAYMENT", "DEBIT", "CASH_IN")
        )
        before = round(draw.uniform(100, 9e4), 2)
        amount = before if fraud else round(before * draw.uniform(0.05, 0.9), 2)
        yield [number // 4 + 1, kind, amount, f"C{draw.randrange(400)}", before, round(before - amount, 2),
               f"{'M' if kind == 'PAYMENT' else 'C'}{draw.randrange(900)}", 0.0, amount, int(fraud), 0]  # fmt: skip


def sparkov(draw: random.Random, rows: int) -> Iterator[Row]:
    """A first column without a name, card numbers, local times, two places."""
    yield ["", "trans_date_trans_time", "cc_num", "merchant", "category", "amt", "first", "last", "gender", "street", "city",
           "state", "zip", "lat", "long", "city_pop", "job", "dob", "trans_num", "unix_time", "merch_lat", "merch_long",
           "is_fraud"]  # fmt: skip
    for number in range(rows):
        who, fraud = draw.randrange(80), draw.random() < FRAUD_SHARE
        at, lat, long = BEGIN + timedelta(minutes=17 * number), 30 + who / 8, -120 + who / 2
        away = 9.0 if fraud else 0.4
        yield [number, at.strftime("%Y-%m-%d %H:%M:%S"), 4_111_111_111_111_111, f"fraud_Shop {draw.randrange(60)}, Inc",
               draw.choice(("gas_transport", "grocery_pos", "shopping_net")), round(draw.lognormvariate(3, 1), 2),
               f"First{who}", f"Last{who % 9}", "F", f"{who} Main St", f"City {who}", "NC", 10_000 + who, lat, long,
               1_000 * who, "Clerk, general", "1961-03-09", f"{draw.getrandbits(128):032x}", int(at.timestamp()) - 220_924_800,
               lat + draw.uniform(-away, away), long + draw.uniform(-away, away), int(fraud)]  # fmt: skip


def ulb(draw: random.Random, rows: int) -> Iterator[Row]:
    """Seconds from the first row, components without names, no card."""
    yield ["Time", *(f"V{number}" for number in range(1, 29)), "Amount", "Class"]
    for number in range(rows):
        fraud = draw.random() < FRAUD_SHARE
        parts = [round(draw.gauss(-2.5 if fraud and part < 4 else 0, 1), 12) for part in range(28)]
        yield [60 * number, *parts, round(draw.lognormvariate(3, 1), 2), int(fraud)]


def tabformer(draw: random.Random, rows: int) -> Iterator[Row]:
    """A time in four columns, a card of two, $ before amounts, merchants as large whole numbers, below 0 too."""
    yield ["User", "Card", "Year", "Month", "Day", "Time", "Amount", "Use Chip", "Merchant Name", "Merchant City",
           "Merchant State", "Zip", "MCC", "Errors?", "Is Fraud?"]  # fmt: skip
    for number in range(rows):
        fraud, online = draw.random() < FRAUD_SHARE, number % 3 == 0
        at, cents = BEGIN + timedelta(minutes=13 * number), round(draw.lognormvariate(3, 1), 2)
        state = "Nigeria" if fraud else draw.choice(("CA", "NY"))
        yield [number % 40, number % 40 % 3, at.year, at.month, at.day, f"{at:%H:%M}",
               f"${-cents}" if number % 20 == 0 else f"${cents}", "Online Transaction" if online else "Chip Transaction",
               draw.randrange(-(2**62), 2**62) if fraud else 7_000_000_000_000 - number % 50,
               "ONLINE" if online else "La Verne", "" if online else state, "" if online else "91750.0", 5_300,
               "Bad PIN," if number % 90 == 0 else "", "Yes" if fraud else "No"]  # fmt: skip


def ibm_aml(draw: random.Random, rows: int) -> Iterator[Row]:
    """Two columns called Account, banks with leading zeros, currencies by name."""
    yield ["Timestamp", "From Bank", "Account", "To Bank", "Account", "Amount Received", "Receiving Currency", "Amount Paid",
           "Payment Currency", "Payment Format", "Is Laundering"]  # fmt: skip
    for number in range(rows):
        fraud, who = draw.random() < FRAUD_SHARE, draw.randrange(120)
        at, amount = BEGIN + timedelta(minutes=20 * number), round(draw.lognormvariate(6, 1), 2)
        currency = draw.choice(("US Dollar", "Euro", "Bitcoin"))
        yield [at.strftime("%Y/%m/%d %H:%M"), f"{who % 7:03d}", f"8000{who // 2:05X}", f"{draw.randrange(30):03d}",
               f"8{draw.randrange(10**8):08d}", amount, currency, amount, currency,
               "ACH" if fraud else draw.choice(("Cheque", "Credit Card", "ACH", "Wire")), int(fraud)]  # fmt: skip


LAYOUTS: dict[str, Callable[[random.Random, int], Iterator[Row]]] = {
    "paysim": paysim,
    "sparkov": sparkov,
    "ulb": ulb,
    "tabformer": tabformer,
    "ibm_aml": ibm_aml,
}


def file_of(name: str, directory: Path, rows: int = 3_000) -> Path:
    """A file of that layout."""
    path = directory / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(LAYOUTS[name](random.Random(5), rows))
    return path
