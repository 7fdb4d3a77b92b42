"""`assay convert`: runs the converter until asked to stop."""

EXAMPLE = "Example: ASSAY_OUTPUT_FORMAT=avro ASSAY_SCHEMA_REGISTRY_URL=http://127.0.0.1:8081 assay convert"


def convert() -> None:
    """Copy scores, alerts and decisions as Avro or Protobuf, with registered schemas, exactly once, until Ctrl-C or SIGTERM.

    `scores` is copied to `scores.avro`, and so on, record by record under the same keys and headers. Settings come from the
    environment; start more of them, anywhere, to share the partitions.
    """
    from services.converter.__main__ import start
    from services.engine.process import main

    main(start)
