"""`assay console`: serves the pages on which cases are worked until asked to stop; and the local users of them."""

import functools
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.installation import lacking
from services.cli.output import notes, print_json, results

if TYPE_CHECKING:
    from services.console.users import User

app = typer.Typer(
    help="Pages for analysts: the queue, the cases, who decides what.",
    invoke_without_command=True,
    epilog="Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 assay console",
)
users_app = typer.Typer(
    help="Local users: kept hashed in a file, which the console reads again when it changes.", no_args_is_help=True
)
app.add_typer(users_app, name="users")

NOT_THERE = 1
NEEDED = ("argon2", "authlib", "httpx", "jinja2", "joserfc", "sqlalchemy", "starlette", "uvicorn")

UsersFile = Annotated[Path | None, typer.Option("--file", help="The file. Default: ASSAY_CONSOLE_USERS_FILE.")]
Json = Annotated[bool, typer.Option("--json", help="JSON in place of a text.")]


@app.callback()
def console(
    context: typer.Context,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Throw the database away, and make it again of the topics.")
    ] = False,
) -> None:
    """Serve the pages until Ctrl-C or SIGTERM. The case service runs beside it. Settings: the environment (ASSAY_CONSOLE_*)."""
    if context.invoked_subcommand is not None:
        return
    from services.engine.process import main
    from services.errors import AssayError

    try:
        from services.console.__main__ import start
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise AssayError(lacking("`assay console` needs", error, "console")) from None
    main(functools.partial(start, rebuild=rebuild))


@users_app.command(epilog="Example: assay console users add ana --role analyst")
def add(
    name: Annotated[str, typer.Argument(help="Letters, digits and . _ @ -, 64 at most.")],
    role: Annotated[str, typer.Option(help="viewer, analyst, lead, risk-officer or admin.")] = "analyst",
    password_file: Annotated[
        Path | None,
        typer.Option(help="File whose first line is the password; - is standard input. Default: asked for."),
    ] = None,
    file: UsersFile = None,
) -> None:
    """Add a user, or give one another role and password."""
    from schemas import codec
    from services.clock import wall_ms
    from services.console.roles import ROLES
    from services.console.users import UserFileError, make_user
    from services.errors import AssayError

    if role not in ROLES:
        raise AssayError(f"There is no role {role}: give one of {', '.join(ROLES)}.")
    path = _path(file)
    users = [user for user in _read(path, missing_ok=True) if user.name != name]
    try:
        user = make_user(name, role, _password(password_file), wall_ms())
    except codec.SchemaError as error:
        raise AssayError(f"The user is not usable ({error}): give another name.") from None
    except UserFileError as error:
        raise AssayError(str(error)) from None
    _write(path, [*users, user])
    notes.print(f"{user.name} may log in as {role}.")


@users_app.command("list", epilog="Example: assay console users list --json")
def list_users(file: UsersFile = None, json: Json = False) -> None:
    """Show who may log in, and as what."""
    from rich.table import Table
    from rich.text import Text

    users = sorted(_read(_path(file)), key=lambda user: user.name)
    if json:
        print_json([{"name": user.name, "role": user.role, "created_ms": user.created_ms} for user in users])
        return
    table = Table("name", "role", box=None)
    for user in users:
        table.add_row(Text(user.name), user.role)
    results.print(table)


@users_app.command(epilog="Example: assay console users remove ana")
def remove(name: Annotated[str, typer.Argument(help="Who.")], file: UsersFile = None) -> None:
    """Take a user away; their sessions end with their next request. `add` is the way back."""
    path = _path(file)
    users = _read(path)
    if name not in {user.name for user in users}:
        notes.print(f"{path} holds no user {name}: `assay console users list` has them.")
        raise typer.Exit(NOT_THERE)
    _write(path, [user for user in users if user.name != name])
    notes.print(f"{name} may log in no more.")


def _password(file: Path | None) -> str:
    """The first line of the file, or what is typed twice."""
    from services.errors import AssayError

    if file is None:
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise AssayError("The two passwords differ: try again.")
        return password
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise AssayError(f"{file} cannot be read: check its path.") from None
    return text.partition("\n")[0]


def _path(option: Path | None) -> Path:
    from services.errors import AssayError
    from services.settings.console import ConsoleSettings
    from services.settings.loading import load

    try:
        import services.console.users  # noqa: F401
    except ModuleNotFoundError as error:
        raise AssayError(lacking("`assay console` needs", error, "console")) from None
    return option or load(ConsoleSettings).users_file


def _read(path: Path, *, missing_ok: bool = False) -> "list[User]":
    from services.console.users import UserFileError, read_users
    from services.errors import AssayError

    try:
        return list(read_users(path, missing_ok=missing_ok))
    except UserFileError as error:
        raise AssayError(str(error)) from None


def _write(path: Path, users: "list[User]") -> None:
    from services.console.users import UserFileError, write_users
    from services.errors import AssayError

    try:
        write_users(path, users)
    except UserFileError as error:
        raise AssayError(str(error)) from None
