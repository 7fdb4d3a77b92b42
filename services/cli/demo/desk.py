"""The console over the demo, where it is installed: a user of its own, the services that it stands on, and its address."""

import secrets
import time
from contextlib import ExitStack
from importlib.util import find_spec

from services.cli.demo.parts import Demo
from services.cli.demo.ports import HOST
from services.errors import AssayError

NEEDS = {"argon2": "console", "jinja2": "console", "sqlalchemy": "console", "starlette": "console", "faust": "side"}
"""Modules, and the extras that bring them."""

USER, ROLE = "demo", "admin"
LOOK_S = 0.5


def lacking() -> str | None:
    """Why there is no console, with what to install; None where there is one."""
    extras = sorted({extra for module, extra in NEEDS.items() if find_spec(module) is None})
    if not extras:
        return None
    return f"No console: it needs `pip install 'assay-scoring[{','.join(extras)}]'`."


def start(demo: Demo, stack: ExitStack) -> str:
    """Cases and console; the sentence that says where, and who may log in. Raises AssayError where it cannot."""
    from services.clock import wall_ms
    from services.console.users import UserFileError, make_user, write_users

    password = secrets.token_urlsafe(12)
    try:
        write_users(demo.console_users, [make_user(USER, ROLE, password, wall_ms())])
    except UserFileError as error:
        raise AssayError(str(error)) from None
    for name in ("cases", "monitor"):
        if name not in demo.children:
            stack.callback(demo.end, name)
            demo.start(name, name, "run")
    stack.callback(demo.end, "console")
    demo.start("console", "console")
    return f"Console: http://{HOST}:{demo.console_port}/ (name {USER}, password {password})"


def stay(demo: Demo) -> None:
    """Until Ctrl-C. Raises AssayError where what it stands on ends before."""
    try:
        while True:
            for name in ("cases", "console"):
                if demo.children[name].status is not None:
                    raise demo.failure(name)
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        return
