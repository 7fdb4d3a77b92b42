"""The two public credit data sets, fetched from the UCI Machine Learning Repository by its own client (extra `train`).

UCI names the columns by number; here they take the names that the feature specs read.
"""

from dataclasses import dataclass
from typing import Any, Literal

from models.files.applications import Applications
from models.installation import install_command

Name = Literal["german", "taiwan"]


class FetchError(ValueError):
    """The data could not be fetched: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class UciDataset:
    """A data set of UCI's. columns: its inputs, in UCI's order. default: the class that means a default."""

    number: int
    columns: tuple[str, ...]
    default: int


UCI: dict[Name, UciDataset] = {
    "german": UciDataset(
        144,
        (
            "checking_status",
            "duration_months",
            "credit_history",
            "purpose",
            "credit_amount",
            "savings",
            "employment_since",
            "installment_rate_pct",
            "personal_status_sex",
            "other_debtors",
            "residence_since",
            "property",
            "age",
            "other_installment_plans",
            "housing",
            "existing_credits",
            "job",
            "people_liable",
            "telephone",
            "foreign_worker",
        ),
        default=2,
    ),
    "taiwan": UciDataset(
        350,
        (
            *("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"),
            *(f"PAY_{month}" for month in (0, 2, 3, 4, 5, 6)),
            *(f"BILL_AMT{month}" for month in range(1, 7)),
            *(f"PAY_AMT{month}" for month in range(1, 7)),
        ),
        default=1,
    ),
}


def fetch(name: Name) -> Applications:
    """All applications of the data set, over the network. Raises FetchError."""
    try:
        from ucimlrepo import fetch_ucirepo
    except ModuleNotFoundError as error:
        raise FetchError(f"Fetching needs {error.name}: {install_command('train')}, or give a file.") from None
    try:
        fetched = fetch_ucirepo(id=UCI[name].number)
    except Exception as error:  # the client raises whatever it meets
        raise FetchError(
            f"UCI's data set {UCI[name].number} could not be fetched ({type(error).__name__}): check the network, or "
            "download it and give the file."
        ) from None
    return named(UCI[name], fetched.data.features, fetched.data.targets)


def named(dataset: UciDataset, features: Any, targets: Any) -> Applications:
    """UCI's frames of inputs and classes (pandas) as applications. Raises FetchError where they are not as we know them."""
    if features.shape[1] != len(dataset.columns):
        raise FetchError(
            f"UCI's data set {dataset.number} has {features.shape[1]} columns, not {len(dataset.columns)}: download it, name "
            "its columns as the feature spec does, and give the file."
        )
    rows = features.set_axis(dataset.columns, axis=1).to_dict("records")
    return Applications(rows, (targets.iloc[:, 0] == dataset.default).to_numpy())
