"""A Java process under its guard: it ends when it is asked to, and when we do."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
EXIT_TIMEOUT_S = 20.0  # above the guard's own bound


@dataclass(slots=True)
class Guarded:
    """One Java process, running or not."""

    pid: int | None = field(default=None, init=False)
    _guard: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def start_guarded(self, command: Sequence[str], log_file: Path, removable: Path | None) -> None:
        """Start Java under its guard, which removes a directory when we have ended. Does not wait until Java is ready."""
        with log_file.open("ab") as log:
            self._guard = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(GUARD),
                    str(os.getpid()),
                    str(log_file),
                    str(removable or ""),
                    *command,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline() or 0) or None

    @property
    def running(self) -> bool:
        """Whether Java runs."""
        return self._guard is not None and self._guard.poll() is None

    def ask_to_stop(self) -> None:
        """Ask for a clean stop. Does not wait."""
        if self._guard is not None and self._guard.stdin is not None and self.running:
            try:
                self._guard.stdin.write(b"s")
                self._guard.stdin.flush()
            except BrokenPipeError:
                pass  # it has just ended on its own

    def kill(self) -> None:
        """SIGKILL, as in a crash, and wait for the end."""
        if self.running and self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Wait for the end, by force when it takes too long."""
        if self._guard is None:
            return
        try:
            self._guard.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            if self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
            self._guard.kill()
            self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self._guard = None
        self.pid = None
