"""`assay credit`: runs the credit service until told to stop."""

EXAMPLE = "Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 ASSAY_CREDIT_BUNDLE=bundles/credit assay credit"


def credit() -> None:
    """Judge what arrives on `applications` until Ctrl-C or SIGTERM: a score and a decision with reasons for each, once.

    Settings: the environment. Start it once more elsewhere to share the partitions.
    """
    from services.credit.__main__ import start
    from services.runtime.process import main

    main(start)
