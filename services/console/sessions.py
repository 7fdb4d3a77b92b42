"""Sessions, in memory: a restart asks everyone to log in again. Tokens are kept hashed; each login gets a new one."""

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from services.clock import monotonic_s

SESSIONS_MAX = 10_000
FAILURES_MAX, FAILURES_S = 5, 300.0
"""After so many wrong passwords of a name within so long it is not asked for a while."""
NAMES_MAX = 10_000
NAME_CHARS_MAX = 65
"""Of what was typed as a name: one more than any user's has, so that what is remembered has a bound."""


@dataclass(slots=True)
class Session:
    """Someone who is logged in. csrf: the token that every form repeats. external: by an identity provider."""

    user: str
    csrf: str
    began_s: float
    seen_s: float
    external: bool = False


class Sessions:
    """Open sessions, by the hash of their token."""

    def __init__(self, age_s_max: float, idle_s_max: float, clock_s: Callable[[], float] = monotonic_s) -> None:
        self._age_s_max, self._idle_s_max, self._clock_s = age_s_max, idle_s_max, clock_s
        self._open: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, user: str, *, external: bool = False) -> str:
        """A new session; its token, for the cookie."""
        token, now_s = secrets.token_urlsafe(32), self._clock_s()
        self._open[_hash(token)] = Session(user, secrets.token_urlsafe(32), now_s, now_s, external)
        if len(self._open) > SESSIONS_MAX:
            self._open.popitem(last=False)
        return token

    def of(self, token: str | None) -> Session | None:
        """The session of a token, if it is open; it is not idle any more."""
        if not token:
            return None
        key, now_s = _hash(token), self._clock_s()
        session = self._open.get(key)
        if session is None:
            return None
        if now_s - session.began_s > self._age_s_max or now_s - session.seen_s > self._idle_s_max:
            del self._open[key]
            return None
        session.seen_s = now_s
        return session

    def end(self, token: str | None) -> None:
        """Log out."""
        self._open.pop(_hash(token or ""), None)

    def end_of(self, user: str) -> None:
        """End every session of a user who is one no more."""
        for key in [key for key, session in self._open.items() if session.user == user]:
            del self._open[key]


class Throttle:
    """Counts wrong passwords by name."""

    def __init__(self, clock_s: Callable[[], float] = monotonic_s) -> None:
        self._clock_s = clock_s
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def is_shut(self, name: str) -> bool:
        """Whether the name must wait."""
        times = self._failures.get(name[:NAME_CHARS_MAX], deque())
        while times and self._clock_s() - times[0] > FAILURES_S:
            times.popleft()
        return len(times) >= FAILURES_MAX

    def failed(self, name: str) -> None:
        """One more wrong password."""
        self._failures.setdefault(name[:NAME_CHARS_MAX], deque(maxlen=FAILURES_MAX)).append(self._clock_s())
        if len(self._failures) > NAMES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget what was wrong before."""
        self._failures.pop(name[:NAME_CHARS_MAX], None)


def same(given: str | None, wanted: str | None) -> bool:
    """Compared in constant time; nothing is the same as nothing."""
    return bool(given) and bool(wanted) and hmac.compare_digest((given or "").encode(), (wanted or "").encode())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
