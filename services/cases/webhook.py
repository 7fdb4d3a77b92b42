"""Posts cases to another system by HTTP: signed, retried, and dead-lettered where it refuses them."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import structlog
from yarl import URL

from schemas.case import Case
from services.cases.rules import is_refusal, is_work
from services.clock import wall_ms

log = structlog.get_logger(__name__)

SIGNATURE_HEADER = "Assay-Signature"
DELIVERY_HEADER = "Assay-Delivery"
BACKOFF_S_MAX = 30.0
AGAIN = {408, 425, 429}
"""Client errors that another attempt may succeed on."""

Sleep = Callable[[float], Awaitable[None]]


def signature(secret: bytes, time_s: int, body: bytes) -> str:
    """t=<Unix time>,v1=<HMAC-SHA-256 in hex of "<Unix time>.<body>">: the receiver refuses what is forged or stale."""
    digest = hmac.new(secret, b"%d.%b" % (time_s, body), hashlib.sha256).hexdigest()
    return f"t={time_s},v1={digest}"


def is_usable(url: str) -> bool:
    """Whether requests can be sent there at all."""
    try:
        parsed = URL(url)
        host = (parsed.raw_host or "").encode("idna")
        return parsed.scheme in ("http", "https") and bool(host) and parsed.port is not None
    except ValueError:
        return False


def worth_telling(case: Case) -> bool:
    """A case that opens, opens again, or is decided; not each of its alerts, nor what was refused, nor who works it."""
    return case.change != "alert" and not is_refusal(case) and not is_work(case)


@dataclass(slots=True)
class Webhook:
    """One endpoint. Deliveries may repeat: `Assay-Delivery`, case and version, is the same for a repeated one."""

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    attempts_max: int
    timeout_s: float
    sleep: Sleep = asyncio.sleep

    async def deliver(self, case: Case, body: bytes) -> str | None:
        """None once it is taken; otherwise why it will not be."""
        why = ""
        for attempt in range(self.attempts_max):
            if attempt:
                await self.sleep(min(BACKOFF_S_MAX, 0.5 * 2.0**attempt))
            status = await self._post(case, body)
            if isinstance(status, int) and 200 <= status < 300:
                return None
            why = f"answered {status}" if isinstance(status, int) else f"did not answer ({status})"
            log.warning("webhook.failed", case_id=case.case_id, version=case.version, attempt=attempt + 1, why=why)
            if isinstance(status, int) and 400 <= status < 500 and status not in AGAIN:
                break
        return f"the webhook {why}"

    async def _post(self, case: Case, body: bytes) -> int | str:
        """The HTTP status, or the name of what went wrong."""
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature(self.secret, wall_ms() // 1000, body),
            DELIVERY_HEADER: f"{case.case_id}-{case.version}",
        }
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:  # the last: a host that is no name
            return type(error).__name__
