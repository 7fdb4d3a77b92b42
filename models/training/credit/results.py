"""Measures the credit models on both public data sets and writes the pages: `python -m models.training.credit.results`.

--data DIR holds german_credit.csv and taiwan_default_train.csv.gz (shapes as UCI's); without it they are fetched from UCI.
--groups measures the groups of people alone, --page writes the page again from the figures there are.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from models.bundle.load import load_bundle
from models.features.spec_file import load_spec
from models.files.applications import Applications, read
from models.files.uci import Name, fetch
from models.installation import DEPLOY
from models.training.credit.data import credit_dataset
from models.training.credit.evaluation import RESULTS, CreditResults, evaluate_credit, evaluate_groups
from models.training.credit.page import results_page
from models.training.data import Dataset
from schemas.feature_spec import FeatureSpec

FILES: dict[Name, str] = {"german": "german_credit.csv", "taiwan": "taiwan_default_train.csv.gz"}
FOLDS: dict[Name, int] = {"german": 10, "taiwan": 5}
HOLDOUTS: dict[Name, int] = {"german": 10, "taiwan": 3}
SEED = 1

JSON, PAGE, BUNDLE = Path("docs/results-credit.json"), Path("docs/results-credit.md"), Path("deploy/bundles/credit")


def measure(data: Path | None) -> dict[str, CreditResults]:
    """Both data sets, with progress on stderr."""
    return {name: _measured(name, _applications(name, data)) for name in FILES}


def measure_groups(data: Path | None, results: dict[str, CreditResults]) -> dict[str, CreditResults]:
    """The results with the groups of people measured again."""
    found: dict[str, CreditResults] = {}
    for name in FILES:
        usable = _usable(name, _applications(name, data))
        of_groups = evaluate_groups(name, _spec(name), usable, FOLDS[name], SEED, _say)
        found[name] = replace(results[name], groups=of_groups)
    return found


def _applications(name: Name, data: Path | None) -> Applications:
    return fetch(name) if data is None else read(data / FILES[name], {}, _spec(name), "default")


def _spec(name: Name) -> FeatureSpec:
    return load_spec(DEPLOY / "features" / f"credit-{name}-all.yaml")


def _measured(name: Name, applications: Applications) -> CreditResults:
    return evaluate_credit(name, _spec(name), _usable(name, applications), FOLDS[name], HOLDOUTS[name], SEED, _say)


def _usable(name: Name, applications: Applications) -> Dataset:
    assert applications.defaulted is not None, "asked for above"
    data, _ = credit_dataset(_spec(name), applications.attributes, applications.defaulted)
    return data


def _say(stage: str, done: int, most: int) -> None:
    print(f"{stage}: {done} of {most}", file=sys.stderr, flush=True)


def write_page() -> None:
    """The page, from the figures and the committed bundle."""
    results = RESULTS.validate_json(JSON.read_bytes())
    PAGE.write_text(results_page(results, load_bundle(BUNDLE).manifest), encoding="utf-8")


def main() -> None:
    """Measure, unless --page, and write."""
    parser = argparse.ArgumentParser(description="Measure the credit models.")
    parser.add_argument("--data", type=Path, help="folder with the two files; default: fetched from UCI")
    parser.add_argument("--groups", action="store_true", help="only measure the groups of people, and write the page")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    arguments = parser.parse_args()
    try:
        if arguments.groups:
            results = measure_groups(arguments.data, RESULTS.validate_json(JSON.read_bytes()))
            JSON.write_bytes(RESULTS.dump_json(results, indent=1) + b"\n")
        elif not arguments.page:
            JSON.write_bytes(RESULTS.dump_json(measure(arguments.data), indent=1) + b"\n")
        write_page()
    except ValueError as error:
        sys.exit(f"credit results: {error}")


if __name__ == "__main__":
    main()
