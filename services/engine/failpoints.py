"""Named points at which a test can end the process, as kill -9 would.

`ASSAY_FAILPOINT=after_sends:3` kills the process the third time it passes `after_sends`. Without the variable `failpoint` is a
function that does nothing.
"""

import os
import signal
from collections.abc import Callable
from typing import Literal, get_args

from services.errors import SettingsError

Point = Literal[
    "after_poll",
    "after_process",
    "between_sends",  # the k-th of all sends, with a count
    "after_sends",
    "after_offsets",
    "commit_sent",  # EndTxn has left, its answer is not there
    "after_commit",
    "during_restore",
]


def _nothing(point: Point) -> None:
    pass


def _killer(setting: str) -> Callable[[Point], None]:
    name, _, times = setting.partition(":")
    if name not in get_args(Point) or not (times or "1").isdigit():
        raise SettingsError(
            f"ASSAY_FAILPOINT={setting} is not one of {', '.join(get_args(Point))}, or its count is no number."
        )
    left = int(times or "1")

    def kill(point: Point) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return kill


def is_armed(point: Point) -> bool:
    """Whether the process should end at this point: for points that are only noticed when watched for."""
    return _setting.partition(":")[0] == point


_setting = os.environ.get("ASSAY_FAILPOINT", "")
failpoint: Callable[[Point], None] = _killer(_setting) if _setting else _nothing
"""Say that execution has reached a point."""
