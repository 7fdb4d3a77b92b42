"""The read model on a real PostgreSQL: what the tests of SQLite show holds there too."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from schemas.alert import ShownAttribute
from schemas.case import Mute
from services.console.model import MUTES, Finding, Position, ReadModel
from services.console.queries import Filter, Queries
from tests.services.cases.test_stream import alert
from tests.services.console.stand import case_of

pytestmark = pytest.mark.slow


def _program(name: str) -> Path | None:
    """One of PostgreSQL's; Debian keeps them out of the way."""
    if found := shutil.which(name):
        return Path(found)
    return next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of our own, in a folder that is thrown away. It does not run as root: Debian's user postgres takes it then."""
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed: Debian's package postgresql has it")
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    try:
        if become:
            shutil.chown(folder, user, user)
        data = folder / "data"
        subprocess.run(
            [*become, initdb, "-D", data, "-U", "console", "-A", "trust", "--no-sync"], check=True, capture_output=True
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ["-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-c", "fsync=off"]
        running = subprocess.Popen([*become, server, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            ready = _program("pg_isready")
            for _ in range(300):
                if (
                    subprocess.run(
                        [str(ready), "-h", "127.0.0.1", "-p", str(port)], capture_output=True, check=False
                    ).returncode
                    == 0
                ):
                    break
                assert running.poll() is None, "PostgreSQL ended"
                subprocess.run(["sleep", "0.1"], check=True)
            yield f"postgresql+psycopg://console@127.0.0.1:{port}/postgres"
        finally:
            running.send_signal(signal.SIGINT)  # SIGTERM would wait for whom our pools still hold
            running.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_read_model_on_postgresql_answers_as_on_sqlite(url: str, tmp_path: Path) -> None:
    """Queue and pages, search, links, mutes, counts, positions, a case that is deleted; the same cases in the same order."""
    cases = [
        case_of([alert(n, f"card-{n:04d}", terminal_id=f"t-{n % 7}", amount=10.0 * (n // 3))], n) for n in range(60)
    ]
    cases[5] = cases[5].model_copy(update={"escalated": True})
    mute = Mute(scope="card", muted_id="card-0001", until_ms=None, by="ana", note="fair")
    found = []
    for where in (url, f"sqlite:///{tmp_path}/console.db"):
        model = ReadModel(where)
        positions = [Position("cases", 0, "id", 7)]
        model.take({case.case_id: case for case in cases}, {"0:card:card-0001": mute}, positions, 5)
        model.take({"0-7": None}, {}, [Position("cases", 0, "id", 9)], 6)
        queries, pages, cursor = Queries(model), [], None
        while True:
            page = queries.queue(Filter(), 13, cursor)
            pages += [case.case_id for case in page.cases]
            if (cursor := page.cursor) is None:
                break
        links = [(one.term, one.count, [case.case_id for case in one.cases]) for one in queries.links(cases[3])]
        counts = queries.counts(cases[30].opened_at_ms)
        searched = [case.case_id for case in queries.search("t-3")]
        overdue = {case.case_id for case in queries.queue(Filter(opened_before_ms=cases[30].opened_at_ms), 99).cases}
        found.append((pages, links, counts, searched, queries.mutes(["card-0001"]), model.positions(), overdue))
        assert model.take({"0-7": cases[7]}, {}, [], 7) is None
        assert queries.case("0-7") == cases[7]
    assert found[0] == found[1]
    assert len(found[0][0]) == 59


def test_text_that_postgresql_would_refuse_ends_no_console(url: str) -> None:
    """Attributes are a payer's, keys any writer's: neither NUL nor a length is an error, written or looked for."""
    model = ReadModel(url)
    model.clear()
    shown = (ShownAttribute(name="device", words="Device", text="d\0" + "x" * 197),)
    case = case_of([alert(1, "card-1", attributes=shown)], 1)
    hostile = "\0" * 5000
    mute = Mute(scope="card", muted_id="card-1", until_ms=None, by="a" * 100, note="so\0")
    findings = [Finding(f"budget:{hostile}", "budget", 1, b"{}")]
    model.take({case.case_id: case, hostile: None}, {"0:card:card-1": mute, hostile: None}, [], 5, findings)
    queries = Queries(model)
    assert queries.search(shown[0].text) == [case]
    assert (queries.search(hostile), queries.case(hostile), queries.versions([hostile])) == ([], None, {})
    assert queries.queue(Filter(assignee="\0"), 5, "0~1.0~\0").cases == []
    with pytest.raises(ValueError, match="too large"):
        queries.queue(Filter(oldest_first=True), 5, "9" * 19 + "~0-1")
    with pytest.raises(sa.exc.IntegrityError) as failed, model.engine.begin() as connection:
        connection.execute(sa.insert(MUTES), [{"record_key": "1", "scope": "card", "muted_id": "card-9", "by": None}])
    assert "[SQL parameters hidden" in str(failed.value)


def test_a_database_that_was_filled_is_filled_on_and_one_of_another_version_made_again(url: str) -> None:
    """The positions that were written with the rows are found again by another process."""
    first = ReadModel(url)
    first.clear()
    first.take({"0-1": case_of([alert(1, "card-1")], 1)}, {}, [Position("cases", 0, "id", 3)], 5)
    again = ReadModel(url)
    assert again.positions() == ([Position("cases", 0, "id", 3)], 5)
    assert Queries(again).case("0-1") is not None
