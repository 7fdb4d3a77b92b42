"""`assay profile`: runs the profiler until asked to stop."""

EXAMPLE = "Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 assay profile"


def profile() -> None:
    """Add up payments and labels by terminal into `terminal-profiles` until Ctrl-C or SIGTERM. Settings: the environment.

    A scorer whose bundle has profile features needs one profiler beside it; more processes stand by.
    """
    from services.engine.process import main
    from services.profiler.__main__ import start

    main(start)
