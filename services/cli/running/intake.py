"""`assay intake`: runs intake until asked to stop."""

EXAMPLE = "Example: ASSAY_INTAKE_SOURCE=source.yaml assay intake"


def intake() -> None:
    """Read your topic by its source spec and write its events, keyed by subject, to `events`, until Ctrl-C or SIGTERM.

    For a source with `routed: true`, whose topic has other keys than the subject. Settings come from the environment; start
    more of them, anywhere, to share the partitions.
    """
    from services.engine.process import main
    from services.intake.__main__ import start

    main(start)
