"""`assay entities`: runs the stages of entities until asked to stop."""

from typing import Annotated

import typer

EXAMPLE = "Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 assay entities"


def entities(
    only_stages: Annotated[
        bool,
        typer.Option(
            "--only-stages", help="Leave the source alone: what is on its way arrives, and payments wait behind it."
        ),
    ] = False,
) -> None:
    """Keep the history of devices, merchants, payees over the whole stream, and send each payment on with it to the scorer.

    Needed where the bundle's features read entities; the scorer then reads `entity-features`. Settings: the environment, the
    scorer's bundle included. Runs until Ctrl-C or SIGTERM; start it once more elsewhere to share the partitions.
    """
    import functools

    from services.engine.process import main
    from services.entities.__main__ import start

    main(functools.partial(start, only_stages=only_stages))
