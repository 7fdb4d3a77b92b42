"""Ports of this machine: free ones, and whether something answers on one."""

import http.client
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"


def free_ports(count: int) -> int:
    """First of `count` neighbouring ports that no one listens on."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server((HOST, 0))).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    stack.enter_context(socket.create_server((HOST, port)))
            except (OSError, OverflowError):
                continue
            return int(first)


def answers(port: int, path: str) -> bool:
    """Whether it answers 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
