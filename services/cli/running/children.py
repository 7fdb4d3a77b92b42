"""Child processes that always end: asked first, forced after a bound, and with their parent, however it dies."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

POLL_S = 0.1
PR_SET_PDEATHSIG = 1  # prctl(2)
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PARENT_GONE = 'read -r _; kill -TERM "$0" 2>/dev/null'
"""Where the kernel does not signal a parent's death to its children: a shell that waits for the end of a pipe of ours."""


@dataclass(slots=True)
class Child:
    """A running child in a session of its own, so that Ctrl-C in a terminal reaches it only through us.

    log_file: where its output goes; None leaves it on ours.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    log_file: Path | None
    guard: "subprocess.Popen[bytes] | None"
    asked: bool = False

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_file: Path | None = None,
        guarded: bool = LIBC is None,
    ) -> Self:
        """Start it. guarded: end it with us by a shell on a pipe, where the kernel cannot. Call from the main thread."""
        parent = os.getpid()

        def end_with_parent() -> None:
            if LIBC is not None and not guarded:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:  # it died before we asked
                    os._exit(1)

        log = log_file.open("ab") if log_file else None
        try:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        finally:
            if log:
                log.close()
        guard = None
        if guarded:
            line = ["/bin/sh", "-c", PARENT_GONE, str(process.pid)]
            guard = subprocess.Popen(line, stdin=subprocess.PIPE, start_new_session=True)
        return cls(name, process, log_file, guard)

    @property
    def status(self) -> int | None:
        """None while it runs; then its exit status, 128 + n when signal n ended it."""
        status = self.process.poll()
        return 128 - status if status is not None and status < 0 else status

    def ask_to_end(self) -> None:
        """SIGTERM, once: a second one could cut the child's own end short. Does not wait."""
        if not self.asked and self.process.poll() is None:
            self.asked = True
            self.process.terminate()

    def end(self, timeout_s: float) -> int:
        """Ask, wait, force; returns the exit status. Harmless when it has ended."""
        if self.guard is not None:
            self.guard.kill()  # first: it holds the process id, which is free for others once we have waited
            self.guard.wait()
            if self.guard.stdin:
                self.guard.stdin.close()
            self.guard = None
        self.ask_to_end()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.status is not None
        return self.status

    def last_words(self) -> str:
        """The last line of its log, for a sentence about its end."""
        if self.log_file is None:
            return ""
        with self.log_file.open("rb") as log:
            log.seek(max(0, self.log_file.stat().st_size - 4096))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def run_until_asked(starting: Iterable[Child], drain_s: float) -> tuple[Child | None, list[int]]:
    """Run children, started one by one, until Ctrl-C, SIGTERM, or the first that ends; then end all of them.

    drain_s: how long they may take to end. The one that ended unasked, if any, and every status.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    children: list[Child] = []
    failed: Child | None = None
    try:
        children.extend(starting)
        while not asked and failed is None:
            time.sleep(POLL_S)
            failed = next((child for child in children if child.status is not None), None)
    finally:
        statuses = _end(children, drain_s)
    return failed, statuses


def _end(children: Sequence[Child], timeout_s: float) -> list[int]:
    for child in children:
        child.ask_to_end()
    deadline_s = time.monotonic() + timeout_s
    return [child.end(max(0.0, deadline_s - time.monotonic())) for child in children]
