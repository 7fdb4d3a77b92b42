"""The command line's root: wires the commands, and turns every error into one sentence and an exit status.

0: done. 1: a check failed, or the reader of the output has ended. 2: a mistake that the sentence on stderr explains.
130: interrupted by Ctrl-C.
"""

import errno
import logging
import os
import sys
from typing import Annotated

import typer

from services.cli.bundles import (
    bundle,
    bundle_build,
    bundle_report,
    policy,
    policy_budget,
    policy_registry,
    registry,
    rule_hits,
    rules,
)
from services.cli.demo import command as demo
from services.cli.offline import batch, credit_batch, dataset, pseudonyms, replay, verify, what_if
from services.cli.operating import acls, bench, capacity, doctor, held, strimzi, tail, topics
from services.cli.people import approvals, cases, label, lists, monitor, persons, privacy
from services.cli.running import (
    broker,
    console,
    convert,
    credit,
    entities,
    gateway,
    intake,
    profile,
    registry_server,
    run,
    score,
    simulate,
)
from services.cli.sources import example, init, source
from services.cli.training import features, thresholds, train, train_credit, train_generator
from services.text import printable

MISTAKE = 2
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)

app = typer.Typer(
    name="assay",
    epilog="Example: assay demo --duration 30",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        from models.installation import DISTRIBUTION

        print(f"assay {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Score card payments on Kafka while they happen, exactly once. Settings: ASSAY_* variables (docs/settings.md)."""


app.command(epilog=demo.EXAMPLE)(demo.demo)
app.add_typer(broker.app, name="broker")
app.command(epilog=registry_server.EXAMPLE)(registry_server.registry_server)
app.add_typer(topics.app, name="topics")
app.command(epilog=acls.EXAMPLE)(acls.acls)
app.command(epilog=strimzi.EXAMPLE)(strimzi.strimzi)
app.add_typer(source.app, name="source")
app.add_typer(features.app, name="features")
bundle.app.command(epilog=bundle_report.EXAMPLE)(bundle_report.report)
bundle.app.command(epilog=bundle_build.EXAMPLE)(bundle_build.build)
bundle.app.command(epilog=thresholds.EXAMPLE)(thresholds.thresholds)
app.add_typer(bundle.app, name="bundle")
app.add_typer(registry.app, name="registry")
policy.app.command(epilog=policy_registry.PUBLISH_EXAMPLE)(policy_registry.publish)
policy.app.command(epilog=policy_registry.PROMOTE_EXAMPLE)(policy_registry.promote)
policy.app.command(epilog=policy_registry.ROLLBACK_EXAMPLE)(policy_registry.rollback)
policy.app.command(epilog=policy_registry.SHADOW_EXAMPLE)(policy_registry.shadow)
policy.app.command(epilog=policy_registry.HISTORY_EXAMPLE)(policy_registry.history)
policy.app.command(epilog=policy_budget.EXAMPLE)(policy_budget.budget)
app.add_typer(policy.app, name="policy")
rules.app.command(epilog=rule_hits.EXAMPLE)(rule_hits.show)
app.add_typer(rules.app, name="rules")
app.command(epilog=simulate.EXAMPLE)(simulate.simulate)
train.app.command(epilog=train_credit.EXAMPLE)(train_credit.credit)
train.app.command(epilog=train_generator.EXAMPLE)(train_generator.generator)
app.add_typer(train.app, name="train")
app.command(epilog=run.EXAMPLE)(run.run)
app.command(epilog=score.EXAMPLE)(score.score)
app.command(epilog=entities.EXAMPLE)(entities.entities)
app.command(epilog=intake.EXAMPLE)(intake.intake)
app.command(epilog=profile.EXAMPLE)(profile.profile)
app.command(epilog=convert.EXAMPLE)(convert.convert)
credit.app.command(epilog=credit_batch.EXAMPLE)(credit_batch.batch)
app.add_typer(credit.app, name="credit")
app.add_typer(gateway.app, name="gateway")
app.add_typer(console.app, name="console")
app.command(epilog=example.EXAMPLE)(example.example)
app.command(epilog=init.EXAMPLE)(init.init)
app.command(epilog=batch.EXAMPLE)(batch.batch)
app.command(epilog=tail.EXAMPLE)(tail.tail)
app.command(epilog=verify.EXAMPLE)(verify.verify)
app.command(epilog=label.EXAMPLE)(label.label)
app.add_typer(lists.app, name="lists")
app.add_typer(approvals.app, name="approvals")
app.add_typer(persons.app, name="persons")
app.add_typer(dataset.app, name="dataset")
app.add_typer(cases.app, name="cases")
app.add_typer(monitor.app, name="monitor")
privacy.app.command(epilog=pseudonyms.EXAMPLE)(pseudonyms.pseudonyms)
app.add_typer(privacy.app, name="privacy")
app.command(epilog=replay.EXAMPLE)(replay.replay)
app.command("archive", epilog=replay.ARCHIVE_EXAMPLE)(replay.keep)
app.command("what-if", epilog=what_if.EXAMPLE)(what_if.what_if)
app.command(epilog=doctor.EXAMPLE)(doctor.doctor)
app.add_typer(held.app, name="held")
app.add_typer(bench.app, name="bench")
app.command(epilog=capacity.EXAMPLE)(capacity.capacity)


def main() -> None:
    """Run the command line and exit."""
    # the Kafka client logs what it also raises; the user gets the sentence
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    status = _status()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        status = _unwritten(error)
    sys.exit(status)


def _status() -> int | str | None:
    try:
        app()
    except SystemExit as done:
        return done.code
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        return _unwritten(error)
    except Exception as error:
        if not _is_sentence(error):
            raise
        print(f"assay: {printable(str(error))}", file=sys.stderr)
        return MISTAKE
    return None


def _unwritten(error: OSError) -> int:
    """The reader of our output has ended, which needs no message; or the disk that we write to is full, which does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter tries again at its end
    if error.errno == errno.EPIPE:
        return 1
    where = f"{error.filename}" if error.filename else "The output"
    print(f"assay: {where} cannot be written ({error.strerror}): free space there, or choose another.", file=sys.stderr)
    return MISTAKE


def _is_sentence(error: Exception) -> bool:
    """Whether the error was written for the user: an AssayError, or a ValueError of the models' own."""
    from services.errors import AssayError

    of_models = isinstance(error, ValueError) and type(error).__module__.startswith("models.")
    return of_models or isinstance(error, AssayError)
