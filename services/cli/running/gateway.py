"""`assay gateway`: serves decisions over HTTP until asked to stop."""

import typer

app = typer.Typer(
    help="Decisions over HTTP: POST /v1/events is answered with the committed decision.",
    invoke_without_command=True,
    epilog="Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 ASSAY_BUNDLE=bundles/fraud assay gateway",
)


@app.callback()
def gateway(context: typer.Context) -> None:
    """Serve decisions over HTTP until Ctrl-C or SIGTERM. Scorers run beside it. Settings: the environment (ASSAY_GATEWAY_*)."""
    if context.invoked_subcommand is not None:
        return
    from services.engine.process import main
    from services.errors import AssayError

    try:
        from services.gateway.__main__ import start
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "httptools", "starlette"):
            raise
        raise AssayError("`assay gateway` needs the extra `gateway`: pip install 'assay-scoring[gateway]'.") from None
    main(start)
