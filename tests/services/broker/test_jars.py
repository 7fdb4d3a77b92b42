"""The jars that run are the jars that the lock names, wherever they came from."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from services.broker.jars import Jar, JarError, class_path, fetched, locked_jars
from services.broker.registry import locked_archive

CONTENT = b"not really a jar"
JAR = Jar("org.example:thing:1.0", hashlib.sha256(CONTENT).hexdigest())


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a word on the terminal."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the code takes for the Maven repository on the network."""
    folder = tmp_path / "remote"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    use_remote(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def use_remote(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("jgo.maven.MavenContext", functools.partial(MavenContext, remote_repos={"test": url}))


def publish(remote: Path, content: bytes) -> None:
    path = remote / JAR.path_in_repository
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.with_name(path.name + ".sha1").write_text(hashlib.sha1(content).hexdigest())  # noqa: S324  (Maven's own)


def test_a_missing_jar_is_fetched_once_and_then_used_without_the_network(
    remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second start is offline."""
    publish(remote, CONTENT)
    local = tmp_path / "local"
    fetched = class_path((JAR,), local)
    use_remote(monkeypatch, "http://127.0.0.1:1")
    assert class_path((JAR,), local) == fetched == str(local / JAR.path_in_repository)
    assert Path(fetched).read_bytes() == CONTENT


def test_a_forged_jar_is_refused_with_a_sentence_and_never_enters_the_repository(remote: Path, tmp_path: Path) -> None:
    """Even when the server's own checksum agrees with it."""
    publish(remote, b"forged")
    local = tmp_path / "local"
    with pytest.raises(JarError, match=r"is not the file that kafka\.lock\.toml names"):
        class_path((JAR,), local)
    assert list(local.iterdir()) == []


def test_a_damaged_jar_in_the_local_repository_is_refused_with_its_path(tmp_path: Path) -> None:
    """Every jar is verified at every start, not only after a download."""
    damaged = tmp_path / JAR.path_in_repository
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(CONTENT[:-1])
    with pytest.raises(JarError, match=r"thing-1\.0\.jar is not the file"):
        class_path((JAR,), tmp_path)


def test_without_network_and_cache_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback of an HTTP library."""
    use_remote(monkeypatch, "http://127.0.0.1:1")
    with pytest.raises(JarError, match="needs the network; or set ASSAY_KAFKA_BOOTSTRAP"):
        class_path((JAR,), tmp_path)


def test_a_jar_that_the_repository_does_not_have_is_the_same_sentence(remote: Path, tmp_path: Path) -> None:
    """A 404 is not a traceback either."""
    with pytest.raises(JarError, match=r"org\.example:thing:1\.0 could not be fetched"):
        class_path((JAR,), tmp_path)


def test_the_lock_names_one_version_of_each_jar_with_a_sha256() -> None:
    """Nothing is left to be resolved at run time."""
    locked = locked_jars()
    assert len({jar.coordinate.rpartition(":")[0] for jar in locked}) == len(locked)
    assert all(len(bytes.fromhex(jar.sha256)) == hashlib.sha256().digest_size for jar in locked)
    assert any(jar.coordinate.startswith("org.apache.kafka:kafka_2.13:") for jar in locked)


def test_the_registrys_archive_is_locked_like_the_jars(tmp_path: Path) -> None:
    """And a damaged one is refused by the name of its own lock."""
    archive = locked_archive()
    assert archive.path_in_repository.name == "apicurio-registry-app-3.0.9-all.tar.gz"
    damaged = tmp_path / archive.path_in_repository
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(CONTENT)
    with pytest.raises(JarError, match=r"is not the file that registry\.lock\.toml names"):
        fetched(archive, tmp_path)
