"""Secrets as settings give them: in the environment, in a file, or printed by a command, the way to a KMS."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)

KEY_COMMAND_S_MAX = 30.0
KEY_BYTES_MIN = 16


def _unset_where_empty(value: Any) -> Any:
    """A variable that a template left empty counts as unset: an empty secret protects nothing."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return None if isinstance(text, str) and not text.strip() else value


def _long_enough(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value().encode()) < KEY_BYTES_MIN:
        raise ValueError(f"a key has at least {KEY_BYTES_MIN} bytes; make one with `openssl rand -hex 32`")
    return value


Secret = Annotated[SecretStr | None, BeforeValidator(_unset_where_empty)]
"""A password, or a key whose form is checked where it is read. Empty is unset."""

KeySecret = Annotated[Secret, AfterValidator(_long_enough)]
"""A key that authenticates by its secrecy alone: empty is unset, a short one is refused."""


class SecretError(Exception):
    """A secret that cannot be had: a clause that names the setting or the file, and quotes nothing of it."""


def shown_url(url: str) -> str:
    """A URL as a sentence may show it: without user, password and query, which may hold secrets.

    A secret may hold what ends an authority (`/`, `#`, `?`): all of it lies before the last `@`.
    """
    scheme, mark, rest = url.partition("://")
    if mark and "@" in rest:
        url = f"{scheme}://{rest.rpartition('@')[2]}"
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL after all; what it begins with is all that is safe
        return f"{url.partition('://')[0]}://***"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_secrets(text: str, url: str = "") -> str:
    """A sentence of other code, such as a store's driver: its URLs as `shown_url` has them.

    url: one that the sentence may repeat in parts.
    """
    if url:
        parts = urlsplit(url)
        text = text.replace(url, shown_url(url))
        for secret in (parts.netloc.rpartition("@")[0], parts.password, parts.username, parts.query):
            text = text.replace(secret, "***") if secret else text
    return _URL.sub(lambda found: shown_url(found[0]), text)


class Found(NamedTuple):
    """A secret's text, and where it is from, in words."""

    text: str
    where: str

    def __repr__(self) -> str:
        return f"Found(where={self.where!r})"


def find_secret(setting: str, value: SecretStr | None, file: Path | None, command: str | None) -> Found | None:
    """The secret of `setting`, `setting`_FILE or `setting`_COMMAND; None where none is set. Raises SecretError."""
    if value is not None:
        return Found(value.get_secret_value(), setting)
    if file is not None:
        try:
            return Found(file.read_text(), str(file))
        except (OSError, UnicodeDecodeError):
            raise SecretError(f"{setting}_FILE: {file} cannot be read") from None
    if command is not None:
        return Found(_said(f"{setting}_COMMAND", command), f"What {setting}_COMMAND prints")
    return None


def _said(setting: str, command: str) -> str:
    """What the command prints. Neither it nor its errors are quoted: they may hold a secret."""
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=KEY_COMMAND_S_MAX, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SecretError(f"{setting} gave no key ({type(error).__name__})") from None
    return done.stdout
