"""`assay rules`: the rules of a policy, tried on examples."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.bundles.policy import Beside, Json, Written, bundle_beside
from services.cli.output import print_json, results, shown
from services.cli.products import OfProduct, Product

app = typer.Typer(help="Rules of a policy: tried on examples, counted by what they hit.", no_args_is_help=True)


@app.command("test", epilog="Example: assay rules test rules.yaml --cases examples.yaml")
def try_examples(
    policy: Written,
    cases: Annotated[Path, typer.Option(help="Examples with expected actions, in YAML.")],
    bundle: Beside = None,
    product: OfProduct = Product.FRAUD,
    json: Json = False,
) -> None:
    """Run examples through a policy. Exits with 1 where one comes out otherwise, for a team's own tests."""
    from rich.table import Table

    from models.policy.cases import load_cases, run_cases
    from models.policy.policy_file import compile_policy, load_policy
    from models.policy.program import thresholds_of
    from services.trusted_policies import known_to

    written, text = load_policy(policy)
    beside = bundle_beside(bundle, product)
    known = known_to(beside, written)
    program = compile_policy(written, known, text, str(policy))
    thresholds = thresholds_of(program, beside.manifest.thresholds)
    outcomes = run_cases(program, load_cases(cases), known, thresholds, len(beside.manifest.feature_spec.names))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if json:
        rows = [
            {
                "case": outcome.case.name,
                "passed": outcome.passed,
                "expected": outcome.case.action,
                "action": outcome.action,
                "rules": list(outcome.rules),
                "shadow_rules": list(outcome.shadow_rules),
            }
            for outcome in outcomes
        ]
        print_json({"cases": len(rows), "failed": len(failed), "outcomes": rows})
    else:
        table = Table("example", "expected", "found", "rules that hold", "in shadow", "")
        for outcome in outcomes:
            found = (outcome.case.name, outcome.case.action, outcome.action)
            rules = (", ".join(outcome.rules), ", ".join(outcome.shadow_rules))
            table.add_row(*map(shown, (*found, *rules, "" if outcome.passed else "otherwise")))
        results.print(table)
        results.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} examples are as expected.")
    if failed:
        raise typer.Exit(1)
