"""Connections of gRPC by client. Its server accepts by itself and counts none by address: so its sockets are looked at once a
second, and a client's newest beyond its share are shut down; of those that one look finds first, any: when each was accepted
is not known. The server's own bound on all of them holds at once.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from services.web.clients import CLIENT, Clients

DESCRIPTORS = Path("/dev/fd")
"""Where a process sees its own, on Linux and macOS."""


class CallSockets:
    """Of the server that listens on a port of this process. closed: told why a connection is."""

    def __init__(self, port: int, clients: Clients, closed: Callable[[str], None]) -> None:
        self._port, self._clients, self._closed = port, clients, closed
        self._seen: dict[int, int] = {}
        """Since which look each is known, by its inode."""
        self._looks = 0

    def look(self) -> int:
        """Shut down what is too many; how many there are. To be called in a thread: it takes some 10 us a descriptor."""
        self._looks += 1
        with contextlib.ExitStack() as held:
            found: list[tuple[int, socket.socket, str]] = []
            for one in _sockets():
                held.enter_context(one)
                if (address := self._client(one)) is not None:
                    inode = os.fstat(one.fileno()).st_ino
                    found.append((inode, one, address))
            self._seen = {inode: self._seen.get(inode, self._looks) for inode, _, _ in found}
            found.sort(key=lambda entry: self._seen[entry[0]])
            beyond = self._clients.beyond([address for _, _, address in found])
            for number in beyond:
                with contextlib.suppress(OSError):  # it is gone already
                    found[number][1].shutdown(socket.SHUT_RDWR)
                self._closed(CLIENT)
        return len(found) - len(beyond)

    def _client(self, one: socket.socket) -> str | None:
        """Whose connection a socket is; None where it is none of the server's."""
        try:
            if one.getsockname()[1] != self._port or one.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            return str(one.getpeername()[0])
        except (OSError, IndexError):  # one that listens, or of no internet address
            return None


def _sockets() -> Iterator[socket.socket]:
    """Of this process, each under a descriptor of its own: it may be closed and given to another meanwhile."""
    for name in os.listdir(DESCRIPTORS):
        with contextlib.suppress(OSError, ValueError):
            descriptor = os.dup(int(name))
            try:
                yield socket.socket(fileno=descriptor)
            except OSError:  # no socket
                os.close(descriptor)
