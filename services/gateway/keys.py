"""API keys in a file, hashed: who may ask what, and how often. `assay gateway keys` writes it, the gateway reads it again."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from models import durable
from schemas import codec
from schemas.base import Digest, EventTimeMs, Message
from services.reread import Reread

Product = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", max_length=32)]
Scope = Literal["decide", "read", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""decide: POST events. read: GET decisions. metrics: GET /metrics."""

PREFIX = "assay"
MODE = 0o600


class KeyFileError(ValueError):
    """A key file that cannot be used, in one sentence."""


class ApiKey(Message):
    """One key. The secret is 256 random bits, so its plain SHA-256 tells nothing; it is shown once, when it is made."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$", max_length=12)] = Field(description="Names the key.")
    client: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", max_length=64)] = Field(
        description="Who asks with it: in the log beside each event."
    )
    secret_sha256: Digest = Field(description="SHA-256 of the secret part, hex.")
    scopes: Annotated[tuple[Scope, ...], Field(max_length=3)] = Field(description="What may be asked with it.")
    events_per_s_max: Annotated[float, Field(ge=0.001, le=1e6)] | None = Field(
        None, description="More events a second are refused (429)."
    )
    products: Annotated[tuple[Product, ...], Field(max_length=100)] = Field(
        (), description="It opens something at the gateways of these products alone; without any, at all."
    )
    created_ms: EventTimeMs = Field(description="When it was made, ms since 1970 UTC.")
    revoked: bool = Field(False, description="It opens nothing.")


class KeyFile(Message):
    """All keys."""

    keys: Annotated[tuple[ApiKey, ...], Field(max_length=10_000)] = ()


def read_keys(path: Path, *, missing_ok: bool = False) -> KeyFile:
    """Raises KeyFileError."""
    try:
        return codec.read(KeyFile, path.read_bytes())
    except FileNotFoundError:
        if missing_ok:
            return KeyFile()
        raise KeyFileError(f"{path} does not exist: make a key with `assay gateway keys add`.") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read ({error.strerror}): check its owner and mode.") from None
    except codec.RejectedError as error:
        raise KeyFileError(f"{path} is no file of API keys ({error}): correct it, or make another.") from None


def write_keys(path: Path, keys: Iterable[ApiKey]) -> None:
    """Whole or not at all, for its owner alone. Raises KeyFileError."""
    content = KeyFile(keys=tuple(keys)).model_dump_json(indent=2).encode() + b"\n"
    try:
        durable.write_file(path, lambda file: file.write(content) and None, MODE)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written ({error.strerror}): check the folder.") from None


def make_key(
    client: str,
    scopes: tuple[Scope, ...],
    events_per_s_max: float | None,
    now_ms: int,
    products: tuple[str, ...] = (),
) -> tuple[ApiKey, str]:
    """A new key, and the token to hand to the client. Raises codec.SchemaError."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    fields = {
        "id": key_id,
        "client": client,
        "secret_sha256": _hash(secret),
        "scopes": scopes,
        "events_per_s_max": events_per_s_max,
        "products": products,
        "created_ms": now_ms,
    }
    return codec.checked(ApiKey, fields), f"{PREFIX}_{key_id}_{secret}"


class Keys:
    """The keys that open something, by id. A file that cannot be read leaves those of before."""

    def __init__(self, path: Path) -> None:
        """Raises KeyFileError."""
        self._file = Reread(path, _usable)

    def __len__(self) -> int:
        return len(self._file.value)

    def refresh(self) -> bool:
        """Take over what has changed; whether anything has. Raises KeyFileError."""
        return self._file.refresh()

    def of(self, token: str) -> ApiKey | None:
        """The key that a token belongs to."""
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self._file.value.get(key_id) if prefix == PREFIX else None
        if key is None or not hmac.compare_digest(_hash(secret), key.secret_sha256):
            return None
        return key


def _usable(path: Path) -> dict[str, ApiKey]:
    """The keys that open something, by id."""
    return {key.id: key for key in read_keys(path).keys if not key.revoked}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
