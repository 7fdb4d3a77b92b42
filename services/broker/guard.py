"""Stands between Assay and one Java process, so that Java never outlives Assay.

Run by path as a process of its own, in its own session (Ctrl-C in a terminal does not reach Java), with the standard
library only: `guard.py PARENT_PID LOG_FILE REMOVE_DIR COMMAND...`. It prints Java's process id. A byte on its input
asks for a clean stop. End of file means that the parent has ended: then REMOVE_DIR, where one is given, is removed too.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

STOP_TIMEOUT_S = 15
POLL_INTERVAL_S = 0.25
PR_SET_PDEATHSIG = 1

LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def main(parent_pid: int, log_file: str, remove_dir: str, command: list[str]) -> int:
    """Run the command until it ends, the parent asks or the parent has ended. Returns the command's exit status."""
    with open(log_file, "ab") as log:
        java = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_end_with_the_guard
        )
    signal.signal(signal.SIGTERM, lambda *_: java.terminate())
    print(java.pid, flush=True)
    asked = _wait(java, parent_pid)
    java.terminate()
    try:
        java.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        java.kill()
    status = java.wait()
    if not asked and remove_dir:
        shutil.rmtree(remove_dir, ignore_errors=True)
        if not any(Path(remove_dir).parent.iterdir()):
            Path(remove_dir).parent.rmdir()
    return status


def _wait(java: "subprocess.Popen[bytes]", parent_pid: int) -> bool:
    """Until Java has ended, or should end. False: because the parent has ended."""
    while java.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], POLL_INTERVAL_S)
        if readable:
            return bool(os.read(0, 1))
        if os.getppid() != parent_pid:  # a forked child of the parent may still hold the pipe open
            return False
    return True


def _end_with_the_guard() -> None:
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
