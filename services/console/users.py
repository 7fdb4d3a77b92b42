"""Users: a file of local ones with argon2id hashes, read again when it changes; and whom an identity provider signed in."""

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import Field

from models import durable
from schemas import codec
from schemas.base import EventTimeMs, Message
from schemas.person import same_person
from services.console.roles import Role
from services.reread import Reread

FILE_BYTES_MAX = 4 << 20
MODE = 0o600
EXTERNAL_MAX = 10_000
PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX = 12, 256

UserName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", max_length=64)]

_HASHER = PasswordHasher()
_NO_ONE = _HASHER.hash("no one has this password")


class UserFileError(ValueError):
    """The file cannot be used. Its words name the file, never a hash."""


class User(Message):
    """Someone who may log in."""

    name: UserName = Field(description="As it stands in the log beside what they do.")
    role: Role = Field(description="What they may do.")
    password_hash: Annotated[str, Field(max_length=500)] = Field(description="argon2id.")
    created_ms: EventTimeMs = Field(0, description="When, ms since 1970 UTC.")


class UserFile(Message):
    """All of them."""

    users: tuple[User, ...] = ()


def read_users(path: Path, *, missing_ok: bool = False) -> tuple[User, ...]:
    """Raises UserFileError."""
    try:
        with path.open("rb") as file:
            payload = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        if missing_ok:
            return ()
        raise UserFileError(f"{path} does not exist: `assay console users add NAME --role ROLE` makes it.") from None
    except OSError as error:
        raise UserFileError(f"{path} cannot be read ({error.strerror}): check its owner and mode.") from None
    try:
        if len(payload) > FILE_BYTES_MAX:
            raise codec.SchemaError("it is larger than 4 MiB")
        return codec.read(UserFile, payload).users
    except codec.RejectedError as error:
        raise UserFileError(f"{path} is no file of users ({error}): correct it, or make another.") from None


def write_users(path: Path, users: Iterable[User]) -> None:
    """Whole or not at all, for its owner alone. Raises UserFileError."""
    content = UserFile(users=tuple(users)).model_dump_json(indent=2).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(path, lambda file: file.write(content) and None, MODE)
    except OSError as error:
        raise UserFileError(f"{path} cannot be written ({error.strerror}): check the folder.") from None


def make_user(name: str, role: str, password: str, now_ms: int) -> User:
    """Raises codec.SchemaError, UserFileError for a password that is too short."""
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        raise UserFileError(f"A password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters: choose another.")
    fields = {"name": name, "role": role, "password_hash": _HASHER.hash(password), "created_ms": now_ms}
    return codec.checked(User, fields)


class Users:
    """Those of the file, by name. A file that cannot be read any more leaves those of before."""

    def __init__(self, path: Path, *, missing_ok: bool = False) -> None:
        """missing_ok: an identity provider has others. Raises UserFileError."""
        self._external: OrderedDict[str, User] = OrderedDict()
        self._file = Reread(path, lambda path: {user.name: user for user in read_users(path, missing_ok=missing_ok)})

    def refresh(self) -> None:
        """Take over what has changed. Raises UserFileError."""
        self._file.refresh()

    def of(self, name: str) -> User | None:
        """The user as the file has them now."""
        return self._file.value.get(name)

    def external(self, name: str) -> User | None:
        """Whom an identity provider signed in under that name, with the role of then."""
        return self._external.get(name)

    def signed_in(self, user: User) -> bool:
        """Take over whom an identity provider signed in; not where a local user has the name."""
        if any(same_person(user.name, name) for name in self._file.value):
            return False
        self._external[user.name] = user
        self._external.move_to_end(user.name)
        if len(self._external) > EXTERNAL_MAX:
            self._external.popitem(last=False)
        return True

    def names(self) -> list[str]:
        """Of those who may work cases, for assigning: local ones, and who has signed in since the start."""
        both = {**self._external, **self._file.value}
        return sorted(name for name, user in both.items() if user.role in ("analyst", "lead", "admin"))

    def verified(self, name: str, password: str) -> User | None:
        """The user, where the password is theirs. Takes as long for a name that no one has. Blocks for some 50 ms."""
        user = self._file.value.get(name)
        try:
            _HASHER.verify(user.password_hash if user else _NO_ONE, password[:PASSWORD_CHARS_MAX])
        except (VerificationError, InvalidHashError):
            return None
        return user
