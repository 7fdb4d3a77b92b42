"""Fetches Apache Kafka's jars from the Maven repository, once, and checks every one against the committed lock."""

import hashlib
import os
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from models.installation import lacking
from services.errors import AssayError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK_FILE = Path(__file__).with_name("kafka.lock.toml")
DOWNLOADS_MAX = 8
DOWNLOAD_TIMEOUT_S = 60


class JarError(AssayError):
    """A jar could not be had, or is not the one that the lock names."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar: Maven coordinate (group:artifact:version, then extension and classifier) and SHA-256 in hex.

    program, way_out: whose first start fetches it, and what to do without, in words.
    """

    coordinate: str
    sha256: str
    program: str = "Apache Kafka"
    way_out: str = "set ASSAY_KAFKA_BOOTSTRAP to a Kafka of your own"
    lock: str = LOCK_FILE.name

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        """Group, artifact, version, extension and classifier."""
        group, artifact, version, *rest = self.coordinate.split(":")
        extension, classifier = rest or ("jar", "")
        return group, artifact, version, extension, classifier

    @property
    def path_in_repository(self) -> Path:
        """Where every Maven repository keeps it."""
        group, artifact, version, extension, classifier = self.parts
        name = "-".join(filter(None, (artifact, version, classifier)))
        return Path(*group.split("."), artifact, version, f"{name}.{extension}")


def locked_jars(lock_file: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """The jars of the lock file."""
    return tuple(Jar(**entry) for entry in tomllib.loads(lock_file.read_text())["jars"])


def kafka_version(lock_file: Path = LOCK_FILE) -> str:
    """Of the locked Apache Kafka."""
    return str(tomllib.loads(lock_file.read_text())["kafka"])


def class_path(
    jars: tuple[Jar, ...] | None = None, repository: Path | None = None, console: Console | None = None
) -> str:
    """Java class path of all jars, fetched into the local Maven repository (default ~/.m2) where missing, all verified.

    With a console, a download shows its progress there. Raises JarError.
    """
    jars = locked_jars() if jars is None else jars
    repository = repository or _maven_context().repo_cache
    missing = [jar for jar in jars if not (repository / jar.path_in_repository).exists()]
    if missing:
        _fetch_all(missing, repository, console)
    paths = [repository / jar.path_in_repository for jar in jars]
    for jar, path in zip(jars, paths, strict=True):
        _verify(jar, path)
    return os.pathsep.join(str(path) for path in paths)


def fetched(jar: Jar, repository: Path | None = None, console: Console | None = None) -> Path:
    """One locked file, fetched where it is missing, verified. Raises JarError."""
    repository = repository or _maven_context().repo_cache
    path = repository / jar.path_in_repository
    if not path.exists():
        _fetch_all([jar], repository, console)
    _verify(jar, path)
    return path


def present(jars: tuple[Jar, ...]) -> bool:
    """Whether each was fetched before."""
    repository = _maven_context().repo_cache
    return all((repository / jar.path_in_repository).exists() for jar in jars)


def _maven_context(**settings: Any) -> "MavenContext":
    """Raises JarError where the extra `broker` is not installed."""
    try:
        from jgo.maven import MavenContext
    except ModuleNotFoundError as error:
        own = "or set ASSAY_KAFKA_BOOTSTRAP to a Kafka of your own"
        raise JarError(
            f"{lacking('The embedded Kafka and registry need', error, 'broker').rstrip('.')}; {own}."
        ) from None
    return MavenContext(**settings)


def _fetch_all(jars: list[Jar], repository: Path, console: Console | None) -> None:
    columns = (TextColumn(f"{jars[0].program}, fetched once"), BarColumn(), MofNCompleteColumn(), TextColumn("jars"))
    with (
        Progress(*columns, console=console or Console(quiet=True), transient=True) as progress,
        ThreadPoolExecutor(DOWNLOADS_MAX) as pool,
    ):
        repository.mkdir(parents=True, exist_ok=True)
        fetches = [pool.submit(_fetch, jar, repository) for jar in jars]
        try:
            for fetch in progress.track(as_completed(fetches), total=len(fetches)):
                fetch.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(jar: Jar, repository: Path) -> None:
    """Download beside the repository, verify, then move: an interrupted or forged download never enters it."""
    group, artifact, version, extension, classifier = jar.parts
    with tempfile.TemporaryDirectory(dir=repository, prefix=".assay-") as staging:
        context = _maven_context(repo_cache=Path(staging), timeout=DOWNLOAD_TIMEOUT_S)
        try:
            downloaded = context.project(group, artifact).at_version(version).artifact(classifier, extension).resolve()
        except (OSError, RuntimeError) as error:  # requests' exceptions are OSErrors
            raise JarError(
                f"{jar.coordinate} could not be fetched from the Maven repository ({type(error).__name__}): the first "
                f"start of the embedded {jar.program} needs the network; or {jar.way_out}."
            ) from None
        _verify(jar, downloaded)
        target = repository / jar.path_in_repository
        target.parent.mkdir(parents=True, exist_ok=True)
        downloaded.replace(target)


def _verify(jar: Jar, path: Path) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != jar.sha256:
        raise JarError(
            f"{path} is not the file that {jar.lock} names (SHA-256 {digest[:12]}..., not {jar.sha256[:12]}...): "
            "delete it and start again; if it comes back, do not trust where it was fetched from."
        )
