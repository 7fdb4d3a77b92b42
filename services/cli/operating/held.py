"""`assay held show|let-through|retry`: partitions that wait for an operator, on the running process."""

import json as json_format
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.output import print_json, results, shown

app = typer.Typer(help="Partitions that too many dead letters hold, on a running process.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]
At = Annotated[
    str | None,
    typer.Option(
        help="The process: http(s)://host:port. ASSAY_HTTP_HOST and _PORT of this environment where not given."
    ),
]
Ca = Annotated[Path | None, typer.Option(help="CA certificates (PEM) for https, where the system's do not do.")]
Partition = Annotated[str, typer.Argument(help="As `assay held show` names it: transactions-3.")]

ANSWER_S_MAX = 10.0


@app.command(epilog="Example: assay held show")
def show(
    at: At = None,
    ca: Ca = None,
    rows: Annotated[int, typer.Option(min=1, help="Records to show of each partition; --json has up to 1,000.")] = 10,
    json: Json = False,
) -> None:
    """Show which partitions are held, and what is wrong with the records: position and reason, never a payload."""
    from rich.table import Table

    held = _ask(at, ca)
    if json:
        print_json(held)
        return
    if not held:
        results.print("Nothing is held by this process.")
    for one in held:
        offsets = f"offsets {one['first_offset']} to {one['last_offset']}"
        results.print(shown(f"{one['partition']}, {offsets}: {one['cause']}"))
        counts = ", ".join(f"{count:,} {reason}" for reason, count in one["reasons"].items())
        results.print(shown(f"of {one['records']:,} records {counts}"))
        table = Table("offset", "reason", "detail", box=None)
        for fault in one["faults"][:rows]:
            table.add_row(*map(shown, (str(fault["offset"]), fault["reason"], fault["detail"])))
        results.print(table)
        if (more := sum(one["reasons"].values()) - rows) > 0:
            results.print(f"and {more:,} more: --rows, or --json")


@app.command("let-through", epilog="Example: assay held let-through transactions-3")
def let_through(
    partition: Partition,
    below: Annotated[
        int | None,
        typer.Option(min=0, help="Up to this offset of the partition, exclusive. Only what is held, where not given."),
    ] = None,
    at: At = None,
    ca: Ca = None,
) -> None:
    """Accept the held records' dead letters, and continue. Their payloads stay in the topic, so that they can be sent again."""
    held = _held(partition, at, ca)
    end = held["last_offset"] + 1 if below is None else below
    _decide(held, end, at, ca)
    results.print(f"{partition} goes on from {held['first_offset']}: dead letters below {end} hold nothing.")


@app.command(epilog="Example: assay held retry transactions-3")
def retry(partition: Partition, at: At = None, ca: Ca = None) -> None:
    """Process the held records again, for instance after the bundle was changed. Without a change it is held again."""
    held = _held(partition, at, ca)
    _decide(held, None, at, ca)
    results.print(f"{partition} is tried again from {held['first_offset']}.")


def _held(partition: str, at: str | None, ca: Path | None) -> Any:
    from services.errors import AssayError

    held = _ask(at, ca)
    for one in held:
        if one["partition"] == partition:
            return one
    names = ", ".join(one["partition"] for one in held) or "nothing"
    raise AssayError(f"{partition} is not held by this process; held is {names}: `assay held show --at` asks another.")


def _decide(held: Any, below: int | None, at: str | None, ca: Path | None) -> None:
    decision = {"partition": held["partition"], "first_offset": held["first_offset"], "let_through_below": below}
    _ask(at, ca, json_format.dumps(decision).encode())


def _ask(at: str | None, ca: Path | None, body: bytes | None = None) -> Any:
    """What the process answers. Raises AssayError."""
    import base64

    from services.errors import AssayError
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings

    runtime = load(RuntimeSettings)
    url = at or f"{'https' if runtime.http_tls_certificate_file else 'http'}://{runtime.http_host}:{runtime.http_port}"
    if not url.startswith(("http://", "https://")):
        raise AssayError(f"{url} is no address: write http://host:port.")
    headers = {"Content-Type": "application/json"}
    if runtime.http_username and runtime.http_password:
        pair = f"{runtime.http_username}:{runtime.http_password.get_secret_value()}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    request = urllib.request.Request(f"{url.rstrip('/')}/held", body, headers)  # noqa: S310  # checked above
    try:
        context = ssl.create_default_context(cafile=ca) if url.startswith("https") else None
        with urllib.request.urlopen(request, timeout=ANSWER_S_MAX, context=context) as answer:  # noqa: S310
            return json_format.load(answer)
    except urllib.error.HTTPError as error:
        why = error.read(1000).decode(errors="replace").strip()
        raise AssayError(f"{url} refuses ({error.code}): {why}. See `assay held --help`.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or reason
        raise AssayError(f"{url} does not answer ({reason}): name the process with --at http://host:port.") from None
