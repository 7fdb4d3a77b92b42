"""Access tokens for SASL/OAUTHBEARER (KIP-255, RFC 7628): from a file that something else renews, or from a token endpoint."""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from services.clock import monotonic_s
from services.errors import SettingsError
from services.settings.kafka import KafkaSettings
from services.settings.secrets import shown_url

REQUEST_TIMEOUT_S = 10.0
RENEWED_BEFORE_S = 30.0
"""A token is not used any more so long before it expires."""


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # the library is untyped
    """The token in a file, read at each login: as Kubernetes and sidecars renew it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """The token. Raises SettingsError."""
        try:
            return (await asyncio.to_thread(self._path.read_text, encoding="utf-8")).strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(
                f"ASSAY_KAFKA_SASL_OAUTH_TOKEN_FILE: {self._path} cannot be read: check the path and its rights."
            ) from None


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens from an OAuth 2.0 token endpoint, by the client credentials grant (RFC 6749, 4.4)."""

    def __init__(self, url: str, client_id: str, client_secret: str, scope: str | None) -> None:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._url = url
        self._body = urllib.parse.urlencode(form | ({"scope": scope} if scope else {})).encode()
        self._token, self._good_until_s = "", 0.0

    async def token(self) -> str:
        """A token that is good for a while. Raises SettingsError."""
        if monotonic_s() >= self._good_until_s:
            answer = await asyncio.to_thread(self._ask)
            self._token = str(answer["access_token"])
            self._good_until_s = monotonic_s() + float(answer.get("expires_in", 0)) - RENEWED_BEFORE_S
        return self._token

    def _ask(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(self._url, self._body, timeout=REQUEST_TIMEOUT_S) as response:  # noqa: S310  (checked in the settings)
                answer = json.load(response)
            if isinstance(answer, dict) and "access_token" in answer:
                return answer
            why = "its answer holds no access_token"
        except (OSError, ValueError) as error:
            why = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise SettingsError(
            f"ASSAY_KAFKA_SASL_OAUTH_TOKEN_URL {shown_url(self._url)} gives no token ({why}): check it and the client."
        )


def token_provider(kafka: KafkaSettings) -> AbstractTokenProvider:
    """As the settings say. Raises SettingsError."""
    if kafka.sasl_oauth_token_file is not None:
        return TokenFile(kafka.sasl_oauth_token_file)
    if kafka.sasl_oauth_token_url and kafka.sasl_oauth_client_id and kafka.sasl_oauth_client_secret:
        secret = kafka.sasl_oauth_client_secret.get_secret_value()
        return ClientCredentials(kafka.sasl_oauth_token_url, kafka.sasl_oauth_client_id, secret, kafka.sasl_oauth_scope)
    raise SettingsError(
        "ASSAY_KAFKA_SASL_MECHANISM=OAUTHBEARER needs ASSAY_KAFKA_SASL_OAUTH_TOKEN_FILE, or ASSAY_KAFKA_SASL_OAUTH_TOKEN_URL, "
        "_CLIENT_ID and _CLIENT_SECRET: set them."
    )
