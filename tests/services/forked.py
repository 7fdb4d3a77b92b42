"""Starts services by a fork of a process that has imported their libraries.

The imports cost each service a second of processor time, and the tests start hundreds. What is Assay's own (but `schemas`) is
imported by the child, so it reads its environment and draws its secrets as after `python -m`. A child differs in what a fork
keeps: it has the hash seed of the others. Where a fork would not be the same, the process is started afresh: another
environment for Python or its libraries, coverage, a system other than Linux.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIBRARIES = (
    "aiohttp",
    "aiokafka.admin",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.x509",
    "fastapi",
    "httptools",
    "jinja2",
    "msgspec",
    "numba",
    "onnxruntime",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy",
    "structlog",
    "uvicorn",
    "uvloop",
    "yaml",
)
READ_AT_START = (
    "COVERAGE_",
    "LANG",
    "LC_",
    "LD_",
    "MALLOC_",
    "MKL_",
    "NUMBA_",
    "OMP_",
    "OPENBLAS_",
    "PYTHON",
    "TZ",
    "UVLOOP_",
)
"""Prefixes of variables that Python or a library reads once, when it starts. All others are read after the fork."""
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
"""Environment of the process that forks: what the tests began with (`tests/__init__.py` turned ONNX Runtime's telemetry off, a
thread that a fork would not have), whatever one of them has set since."""


class Forked:
    """A process that the forking one has started: what the tests use of `subprocess.Popen`."""

    def __init__(self, forking: "_Forking", pid: int) -> None:
        self._forking, self.pid = forking, pid

    def poll(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._forking.status(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        """Exit status, once it has ended. Raises TimeoutExpired."""
        status, deadline = self.poll(), None if timeout is None else time.monotonic() + timeout
        while status is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self._forking.listen(0.05)
            status = self.poll()
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Forking:
    """The process that forks, seen from the tests."""

    def __init__(self) -> None:
        self._own, other = socket.socketpair()
        command = [sys.executable, "-m", __name__, str(other.fileno())]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=INHERITED, pass_fds=[other.fileno()], start_new_session=True
        )
        other.close()
        self._lock, self._statuses, self._unread = threading.Lock(), dict[int, int](), b""
        self._started: list[int] = []
        atexit.register(self._close)

    def start(self, module: str, environment: Mapping[str, str], log: Path) -> Forked:
        """Fork a process that becomes `python -m module`."""
        order = {"module": module, "environment": dict(environment), "log": str(log)}
        with self._lock:
            self._own.sendall(json.dumps(order).encode() + b"\n")
            while not self._started:
                self._read(None)
            return Forked(self, self._started.pop())

    def status(self, pid: int) -> int | None:
        """Exit status of a process; None while it runs."""
        self.listen(0)
        return self._statuses.get(pid)

    def listen(self, timeout: float) -> None:
        """Take what it has to say of ended processes."""
        with self._lock:
            self._read(timeout)

    def _read(self, timeout: float | None) -> None:
        if not select.select([self._own], [], [], timeout)[0]:
            return
        data = self._own.recv(1 << 16)
        assert data, "the process that forks the services has ended"
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            pid, status = json.loads(line)
            if status is None:
                self._started.append(pid)
            else:
                self._statuses[pid] = status

    def _close(self) -> None:
        self._own.close()
        self._process.wait()


@functools.cache
def _forking() -> _Forking:
    return _Forking()


def start(module: str, environment: Mapping[str, str], log: Path) -> "Forked | subprocess.Popen[bytes]":
    """Start `python -m module` in a session of its own. environment: all of it. log: what it prints, emptied first."""
    log.write_bytes(b"")  # at once: a reader may look before the process has opened it
    if sys.platform == "linux" and _read_at_start(environment) == _read_at_start(INHERITED):
        return _forking().start(module, environment, log)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


def _import_libraries() -> None:
    import schemas

    for name in (*LIBRARIES, *(module.name for module in pkgutil.walk_packages(schemas.__path__, "schemas."))):
        importlib.import_module(name)
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()  # what numba itself loads at the first call of a compiled function
    cpu_target.target_context.refresh()
    gc.collect()
    gc.freeze()


def _serve(door: socket.socket) -> dict[str, Any] | None:
    """Fork for each order, tell of each end. Returns an order in the child, and None once the tests have ended."""
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    unread = b""
    heard: list[Any] = [door, awake]
    while True:
        ready = select.select(heard, [], [])[0]
        if awake in ready:
            os.read(awake, 1 << 10)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    _tell(door, ended[0], os.waitstatus_to_exitcode(ended[1]))
        if door in ready:
            data = door.recv(1 << 16)
            if not data:
                return None
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    os.setsid()
                    _tell(door, os.getpid(), None)
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(awake)
                    os.close(wake)
                    return dict(json.loads(line))


def _tell(door: socket.socket, pid: int, status: int | None) -> None:
    with contextlib.suppress(BrokenPipeError):
        door.sendall(json.dumps([pid, status]).encode() + b"\n")


def _become(order: dict[str, Any]) -> None:
    """The process that was ordered, until it ends."""
    log = os.open(order["log"], os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = [order["module"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


def _main(descriptor: int) -> None:
    door = socket.socket(fileno=descriptor)
    _import_libraries()
    order = _serve(door)
    door.close()
    if order is not None:
        _become(order)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
