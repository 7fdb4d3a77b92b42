"""The schema registry, by the API that Confluent's has, and Apicurio's, Karapace and Redpanda's with it.

A registry that does not answer, or answers as none would, is waited for: only its own word that it has no such schema counts.
"""

import asyncio
import base64
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import structlog

from schemas.codec import UnknownSchemaError
from services.clock import monotonic_s
from services.errors import AssayError, SettingsError
from services.settings.schema_registry import SchemaRegistrySettings
from services.settings.secrets import shown_url

log = structlog.get_logger(__name__)

T = TypeVar("T")

ANSWER_BYTES_MAX = 8 << 20
REFERENCES_MAX = 200
UNKNOWN_ATTEMPTS = 3
"""So often a schema is asked for that the registry does not have: a follower may be behind for a moment."""
UNKNOWN_PAUSE_S = 0.5
BACKOFF_S_MIN = 0.5
BACKOFF_S_MAX = 10.0
NOT_FOUND = (40401, 40402, 40403)
"""Error codes of the API: no such subject, version, schema."""

REJECTED = (409, 422)
KINDS = ("AVRO", "PROTOBUF", "JSON")
JSON_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryUnavailableError(AssayError):
    """No registry answered as one does. A clause for people, without a secret."""


class NotFoundError(Exception):
    """The registry says that it has no such thing."""


class RejectedSchemaError(AssayError):
    """The registry refuses a schema that we register."""


class RegisteredSchema(NamedTuple):
    """A schema as it was registered. references: name and text of what it stands on, each behind what it needs itself."""

    kind: str
    text: str
    references: tuple[tuple[str, str], ...] = ()


class SchemaRegistry:
    """A client. for_whom: what needs the registry, named where there is none."""

    def __init__(self, settings: SchemaRegistrySettings, for_whom: str) -> None:
        """Raises SettingsError."""
        if settings.url is None:
            raise SettingsError(f"{for_whom} needs a schema registry: set ASSAY_SCHEMA_REGISTRY_URL.")
        self._settings = settings
        self._urls = [url.strip().rstrip("/") for url in settings.url.split(",")]
        self._context = _tls(settings)
        # proxies of the environment hold, as for every client of HTTP here
        self._open = urllib.request.build_opener(urllib.request.HTTPSHandler(context=self._context)).open
        self._first = 0
        self.unavailable_since_s: float | None = None
        """Since when no registry has answered, on the monotonic clock."""
        self._why = ""
        self.requests = 0

    def outage(self) -> str | None:
        """Why no registry answers and since when, in a sentence; None while one does. Safe to call from another thread."""
        since_s, why = self.unavailable_since_s, self._why
        return None if since_s is None else f"no schema registry answers since {monotonic_s() - since_s:.0f} s ({why})"

    async def schema(self, schema_id: int) -> RegisteredSchema | None:
        """The schema of an id with all that it stands on; None where the registry has none. Waits for a registry.

        Raises UnknownSchemaError where it stands on too many.
        """
        for attempt in range(UNKNOWN_ATTEMPTS):
            try:
                return await self._patiently(lambda: self._schema(schema_id))
            except NotFoundError:
                if attempt + 1 < UNKNOWN_ATTEMPTS:
                    await asyncio.sleep(UNKNOWN_PAUSE_S)
        return None

    async def latest(self, subject: str) -> tuple[int, RegisteredSchema] | None:
        """Id and schema of a subject's latest version; None where there is none. Waits for a registry."""
        try:
            answer = await self._patiently(lambda: self._ask(f"/subjects/{_quoted(subject)}/versions/latest"))
            return int(answer["id"]), await self._patiently(lambda: self._with_references(answer))
        except NotFoundError:
            return None

    async def register(self, subject: str, schema: RegisteredSchema) -> int:
        """The id of a schema under a subject, registered where it is not yet. Raises RejectedSchemaError. Waits."""
        body = {"schemaType": schema.kind, "schema": schema.text}
        answer = await self._patiently(lambda: self._ask(f"/subjects/{_quoted(subject)}/versions", body))
        return int(answer["id"])

    async def check(self) -> None:
        """Ask once whether a registry answers. Raises RegistryUnavailableError: a sentence."""
        await self._ask("/subjects")

    async def _schema(self, schema_id: int) -> RegisteredSchema:
        try:
            return await self._with_references(await self._ask(f"/schemas/ids/{schema_id}"))
        except (AttributeError, KeyError, TypeError):  # a proxy's page, as a rule: no fault of the record
            raise RegistryUnavailableError(
                f"ASSAY_SCHEMA_REGISTRY_URL: the answer for schema {schema_id} is not a registry's: check what is between."
            ) from None

    async def _with_references(self, answer: Mapping[str, Any]) -> RegisteredSchema:
        found: dict[str, str] = {}
        await self._collect(answer, found, set())
        return RegisteredSchema(_kind(answer), _schema_text(answer), tuple(found.items()))

    async def _collect(self, answer: Mapping[str, Any], found: dict[str, str], asked: set[str]) -> None:
        """Depth first, so that each comes behind what it needs."""
        for reference in answer.get("references") or ():
            name = str(reference["name"])
            if name in asked:
                continue
            if len(asked) >= REFERENCES_MAX:
                raise UnknownSchemaError(f"it stands on more than {REFERENCES_MAX} other schemas, and no more are read")
            asked.add(name)
            path = f"/subjects/{_quoted(str(reference['subject']))}/versions/{int(reference['version'])}"
            inner = await self._ask(path)
            await self._collect(inner, found, asked)
            found[name] = _schema_text(inner)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Until a registry answers."""
        backoff_s = BACKOFF_S_MIN
        while True:
            try:
                answer = await ask()
            except RegistryUnavailableError as error:
                self._why = str(error)
                if self.unavailable_since_s is None:
                    self.unavailable_since_s = monotonic_s()
                    log.warning("schema_registry.unavailable", why=str(error))
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_S_MAX, 2 * backoff_s)
                continue
            except (NotFoundError, RejectedSchemaError, UnknownSchemaError):
                self._answered()
                raise
            self._answered()
            return answer

    def _answered(self) -> None:
        if self.unavailable_since_s is not None:
            log.info("schema_registry.available", after_s=round(monotonic_s() - self.unavailable_since_s, 1))
            self.unavailable_since_s = None

    async def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One answer, of the first registry that gives one. Raises NotFoundError and its neighbours."""
        why = ""
        for turn in range(len(self._urls)):
            place = (self._first + turn) % len(self._urls)
            try:
                answer = await asyncio.to_thread(self._ask_one, self._urls[place], path, body)
            except RegistryUnavailableError as error:
                why = str(error)
                continue
            self._first = place
            return answer
        raise RegistryUnavailableError(why)

    def _ask_one(self, url: str, path: str, body: Mapping[str, Any] | None) -> Any:
        self.requests += 1
        where = f"ASSAY_SCHEMA_REGISTRY_URL: {shown_url(url)}"
        try:
            with self._open(self._request(url, path, body), timeout=self._settings.timeout_s) as response:
                content = response.read(ANSWER_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            try:
                return _refused(error, where)
            except (OSError, http.client.HTTPException):
                raise RegistryUnavailableError(f"{where} broke an answer off: check what is between.") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise RegistryUnavailableError(
                f"{where} does not answer ({type(reason).__name__}): check the address, and that the registry runs."
            ) from None
        answer = _parsed(content)
        if answer is None:
            raise RegistryUnavailableError(
                f"{where} does not answer as a schema registry: check the path, such as /apis/ccompat/v7 of Apicurio's."
            )
        return answer

    def _request(self, url: str, path: str, body: Mapping[str, Any] | None) -> urllib.request.Request:
        parts = urllib.parse.urlsplit(url)
        address = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address + path, data)  # noqa: S310  (checked in the settings)
        request.add_header("Accept", f"{JSON_TYPE}, application/json")
        request.add_header("Content-Type", JSON_TYPE)
        if authorization := self._authorization(parts):
            request.add_unredirected_header("Authorization", authorization)  # never to where a redirection leads
        return request

    def _authorization(self, url: urllib.parse.SplitResult) -> str:
        settings = self._settings
        if settings.token_file is not None:
            try:
                return f"Bearer {settings.token_file.read_text(encoding='utf-8').strip()}"
            except (OSError, UnicodeDecodeError):
                raise RegistryUnavailableError(
                    f"ASSAY_SCHEMA_REGISTRY_TOKEN_FILE: {settings.token_file} cannot be read: check the path and its rights."
                ) from None
        if settings.token is not None:
            return f"Bearer {settings.token.get_secret_value()}"
        user, password = settings.username, settings.password.get_secret_value() if settings.password else ""
        if user is None and url.username is not None:
            user, password = urllib.parse.unquote(url.username), urllib.parse.unquote(url.password or "")
        return "" if user is None else "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _refused(error: urllib.error.HTTPError, where: str) -> Any:
    with error:
        answer = _parsed(error.read(ANSWER_BYTES_MAX + 1)) if error.fp is not None else None
    code = answer.get("error_code") if isinstance(answer, dict) else None
    if error.code == 404 and code in NOT_FOUND:
        raise NotFoundError
    if error.code in REJECTED and code is not None:
        raise RejectedSchemaError(f"{where} refuses our schema (status {error.code}, code {code}): see its log.")
    fix = "check user, password or token" if error.code in (401, 403) else "check the address, and the registry's log"
    raise RegistryUnavailableError(f"{where} answers with status {error.code}: {fix}.")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if len(content) <= ANSWER_BYTES_MAX else None
    except (ValueError, RecursionError):
        return None


def _kind(answer: Mapping[str, Any]) -> str:
    kind = answer.get("schemaType", "AVRO")  # Confluent leaves Avro unsaid
    return kind if kind in KINDS else "of an unknown kind"


def _schema_text(answer: Any) -> str:
    text = answer.get("schema") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        raise RegistryUnavailableError("The schema registry's answer holds no schema: check the address.")
    return text


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _tls(settings: SchemaRegistrySettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_certificate_file is not None:
            password = settings.ssl_key_password.get_secret_value() if settings.ssl_key_password else None
            context.load_cert_chain(settings.ssl_certificate_file, settings.ssl_key_file, password)
    except OSError as error:  # ssl's own errors, too
        raise SettingsError(
            f"A TLS file of ASSAY_SCHEMA_REGISTRY_SSL_* cannot be used ({type(error).__name__}): give PEM files."
        ) from None
    return context
