"""`assay gateway`: serves decisions over HTTP until asked to stop; and the API keys of those who ask."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.installation import lacking
from services.cli.output import notes, print_json, results

if TYPE_CHECKING:
    from services.gateway.keys import ApiKey

app = typer.Typer(
    help="Decisions over HTTP: POST /v1/events is answered with the committed decision.",
    invoke_without_command=True,
    epilog="Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 ASSAY_BUNDLE=bundles/fraud assay gateway",
)
keys_app = typer.Typer(
    help="API keys: kept hashed in a file, which gateways read again when it changes.", no_args_is_help=True
)
app.add_typer(keys_app, name="keys")

NOT_THERE, UNAUTHENTICATED = 1, 401

KeysFile = Annotated[Path | None, typer.Option("--file", help="The key file. Default: ASSAY_GATEWAY_KEYS_FILE.")]
Json = Annotated[bool, typer.Option("--json", help="JSON in place of a text.")]


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
        if error.name not in ("fastapi", "uvicorn", "httptools", "starlette", "httpx", "jwt"):
            raise
        raise AssayError(lacking("`assay gateway` needs", error, "gateway")) from None
    main(start)


@app.command(epilog="Example: echo '{...}' | assay gateway ask - --deadline-ms 200")
def ask(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="An event as JSON; - reads it from standard input.")],
    url: Annotated[str, typer.Option(help="The gateway.")] = "http://127.0.0.1:8480",
    key_file: Annotated[Path | None, typer.Option(help="File with the API key.")] = None,
    deadline_ms: Annotated[int, typer.Option(min=1, max=60_000, help="Answer within so many ms.")] = 1000,
) -> None:
    """Send one event to a gateway and print its answer as JSON. Exits with 1 where it is a stand-in."""
    import httpx

    from services.errors import AssayError
    from services.gateway.client import GatewayClient, GatewayProblemError

    try:
        key = key_file.read_text(encoding="utf-8").strip() if key_file else None
        with GatewayClient(url, key) as client:
            answer = client.decide(file.read(), deadline_ms)
    except OSError as error:
        raise AssayError(f"{key_file} cannot be read ({error.strerror}): check its path.") from None
    except GatewayProblemError as error:
        hint = " (--key-file)" if error.problem.status == UNAUTHENTICATED else ""
        raise AssayError(f"{error}{hint}.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AssayError(
            f"{url} does not answer ({type(error).__name__}): check --url, and that `assay gateway` runs."
        ) from None
    print_json(answer.model_dump(mode="json"))
    if answer.stand_in:
        raise typer.Exit(NOT_THERE)


@keys_app.command(epilog="Example: assay gateway keys add checkout --scope decide --events-per-s 500")
def add(
    client: Annotated[str, typer.Argument(help="Who will ask with it: letters, digits and . _ -, 64 at most.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="decide, read or metrics; several times. Default: decide and read.")
    ] = None,
    events_per_s: Annotated[float | None, typer.Option(min=0.001, help="More events a second are refused.")] = None,
    product: Annotated[
        list[str] | None, typer.Option(help="Opens the gateways of this product alone; several times.")
    ] = None,
    file: KeysFile = None,
    json: Json = False,
) -> None:
    """Make a key and print it, once: the file holds its hash alone. A client may have several, to change them without a gap."""
    from schemas import codec
    from services.clock import wall_ms
    from services.errors import AssayError
    from services.gateway.keys import SCOPES, make_key

    path = _path(file)
    unknown = [name for name in scope or () if name not in SCOPES]
    if unknown:
        raise AssayError(f"{unknown[0]} is no scope: give decide, read or metrics.")
    scopes = tuple(name for name in SCOPES if name in (scope or ("decide", "read")))
    try:
        key, token = make_key(client, scopes, events_per_s, wall_ms(), tuple(product or ()))
    except codec.RejectedError:
        raise AssayError(
            f"{client!r} cannot name a client, or --product no product: use letters, digits and . _ -, 64 at most; a "
            "product is as ASSAY_PRODUCT names it."
        ) from None
    _write(path, [*_read(path, missing_ok=True), key])
    if json:
        print_json({"id": key.id, "client": key.client, "scopes": list(key.scopes), "token": token})
    else:
        notes.print(f"Key {key.id} of {key.client} ({', '.join(key.scopes)}) is in {path}. Its token, shown this once:")
        results.print(token)


@keys_app.command("list", epilog="Example: assay gateway keys list")
def list_(file: KeysFile = None, json: Json = False) -> None:
    """List the keys, revoked ones too."""
    keys = _read(_path(file))

    def of_products(key: "ApiKey") -> str:
        return f" of {', '.join(key.products)}" if key.products else ""

    if json:
        print_json([key.model_dump(mode="json", exclude={"secret_sha256"}) for key in keys])
        return
    for key in keys:
        rate = f", {key.events_per_s_max:g}/s at most" if key.events_per_s_max else ""
        results.print(
            f"{key.id}  {key.client}  {', '.join(key.scopes)}{of_products(key)}{rate}{'  revoked' if key.revoked else ''}"
        )


@keys_app.command(epilog="Example: assay gateway keys revoke 3fa92c10b7de")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `list` has it.")], file: KeysFile = None
) -> None:
    """Have a key open nothing, within two seconds, at every gateway that reads the file. `restore` is the way back."""
    _mark(_path(file), key_id, revoked=True)


@keys_app.command(epilog="Example: assay gateway keys restore 3fa92c10b7de")
def restore(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `list` has it.")], file: KeysFile = None
) -> None:
    """Have a revoked key open again what it opened."""
    _mark(_path(file), key_id, revoked=False)


def _mark(path: Path, key_id: str, *, revoked: bool) -> None:
    """Exits with 1 where there is no such key."""
    keys = _read(path)
    if key_id not in {key.id for key in keys}:
        notes.print(f"{path} holds no key {key_id}: `assay gateway keys list` has them.")
        raise typer.Exit(NOT_THERE)
    _write(path, [key.model_copy(update={"revoked": revoked}) if key.id == key_id else key for key in keys])
    notes.print(f"Key {key_id} is {'revoked' if revoked else 'restored'}.")


def _path(option: Path | None) -> Path:
    from services.errors import AssayError
    from services.settings.gateway import GatewaySettings
    from services.settings.loading import load

    path = option or load(GatewaySettings).keys_file
    if path is None:
        raise AssayError("No key file is named: give --file, or set ASSAY_GATEWAY_KEYS_FILE.")
    return path


def _read(path: Path, *, missing_ok: bool = False) -> "list[ApiKey]":
    from services.errors import AssayError
    from services.gateway.keys import KeyFileError, read_keys

    try:
        return list(read_keys(path, missing_ok=missing_ok).keys)
    except KeyFileError as error:
        raise AssayError(str(error)) from None


def _write(path: Path, keys: "list[ApiKey]") -> None:
    from services.errors import AssayError
    from services.gateway.keys import KeyFileError, write_keys

    try:
        write_keys(path, keys)
    except KeyFileError as error:
        raise AssayError(str(error)) from None
