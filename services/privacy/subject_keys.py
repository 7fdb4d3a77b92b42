"""A key for each subject, in two halves: the master key, and a random salt that is kept once for each subject.

A subject is a card's pseudonym. Its key is HKDF-SHA-256 (RFC 5869) of both halves: only the holder of the master key can
derive it, and no one once the salt is deleted. So deleting one small file erases all that was sealed for a subject.
"""

import asyncio
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models.bundle.keys import KeyFileError, SealKey, seal_key
from schemas.privacy import PrivacyKey
from services.clock import monotonic_s
from services.errors import SettingsError
from services.settings.privacy import SubjectSettings
from services.settings.secrets import SecretError, find_secret
from services.storage import Storage, open_storage

REFERENCE = re.compile(r"[a-z2-7]{26}")
SALT_BYTES = 32
AGE_S_MAX = 60.0
"""A key is looked up again after this: so long after an erasure another process may still seal with the erased key."""

CACHED_MAX = 50_000
"""Keys remembered, about 1 KB each; the longest unused make room."""


class SubjectKeysError(OSError):
    """The salts cannot be read or written. An OSError, so a partition starts again as for any store that does not work."""


class SubjectKey(NamedTuple):
    """What seals for one subject.

    reference: names the subject in what is sealed, and reveals nothing without the master key. salt_id: tells this key from the
    subject's others, before an erasure and after.
    """

    reference: str
    salt_id: str
    cipher: AESGCM


class SubjectKeys:
    """The keys of all subjects."""

    def __init__(self, master: SealKey, salts: Storage, now_s: Callable[[], float] = monotonic_s) -> None:
        self._master, self._salts, self._now_s = master, salts, now_s
        self._names = PrivacyKey("", _derived(master.secret, b"", b"assay subject reference 1"))
        self._cached: OrderedDict[str, tuple[SubjectKey, float]] = OrderedDict()

    @property
    def master_id(self) -> str:
        """Which master key: 16 hex digits that reveal nothing about it."""
        return self._master.key_id

    def reference(self, subject: str) -> str:
        """The name of a subject in what is sealed: 26 characters, a keyed hash."""
        return self._names.name(subject.encode())

    async def of(self, subjects: Iterable[str]) -> Mapping[str, SubjectKey]:
        """The subjects' keys, made where there are none yet; a key is on disk before it is returned.

        Raises SubjectKeysError.
        """
        found, wanted = {}, []
        fresh_s = self._now_s() - AGE_S_MAX
        for subject in dict.fromkeys(subjects):
            key, looked_up_s = self._cached.get(subject, (None, 0.0))
            if key is not None and looked_up_s >= fresh_s:
                self._cached.move_to_end(subject)
                found[subject] = key
            else:
                wanted.append(subject)
        now_s = self._now_s()
        made = await asyncio.gather(*(asyncio.to_thread(self._made, subject) for subject in wanted))
        for subject, key in zip(wanted, made, strict=True):
            found[subject] = key
            self._cached[subject] = key, now_s
            self._cached.move_to_end(subject)
        while len(self._cached) > CACHED_MAX:
            self._cached.popitem(last=False)
        return found

    def find(self, reference: str) -> SubjectKey | None:
        """The key behind a reference; None where it was erased. Raises SubjectKeysError, ValueError for no reference."""
        if not REFERENCE.fullmatch(reference):  # it comes from a record, and names a file
            raise ValueError("no reference to a subject")
        salt = self._read(reference)
        return None if salt is None else self._key(reference, salt)

    def erase(self, subject: str) -> bool:
        """Delete the subject's half of its key for good; False where there is none. Raises SubjectKeysError."""
        reference = self.reference(subject)
        known = self._read(reference) is not None
        try:
            self._salts.delete(reference)  # also where it is not known: a kill may have left it under a temporary name
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SubjectKeysError(f"a subject's salt cannot be deleted ({_why(error)})") from error
        self._cached.pop(subject, None)
        return known

    def _made(self, subject: str) -> SubjectKey:
        """Of several processes that meet a new subject at once, one makes its salt and all take that."""
        reference = self.reference(subject)
        salt = self._read(reference)
        while salt is None:
            fresh = secrets.token_bytes(SALT_BYTES)
            try:
                self._salts.create(reference, fresh)
                salt = fresh
            except FileExistsError:
                salt = self._read(reference)  # None once more: it was erased in between
            except OSError as error:
                raise SubjectKeysError(f"a subject's salt cannot be written ({_why(error)})") from error
        return self._key(reference, salt)

    def _read(self, reference: str) -> bytes | None:
        try:
            with self._salts.open(reference) as file:
                salt = file.read(SALT_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SubjectKeysError(f"a subject's salt cannot be read ({_why(error)})") from error
        if len(salt) != SALT_BYTES:
            raise SubjectKeysError(f"the salt {reference} is damaged: restore it, or delete it to erase its subject")
        return salt

    def _key(self, reference: str, salt: bytes) -> SubjectKey:
        salt_id = hashlib.sha256(b"assay subject salt" + salt).hexdigest()[:8]
        key = _derived(self._master.secret, salt, b"assay subject key 1 " + reference.encode())
        return SubjectKey(reference, salt_id, AESGCM(key))


def subject_keys(settings: SubjectSettings) -> SubjectKeys | None:
    """As the settings have them; None where no key is set. Raises SettingsError."""
    try:
        found = find_secret("ASSAY_SUBJECT_KEY", settings.key, settings.key_file, settings.key_command)
        if found is None:
            return None
        master = seal_key(found.text, found.where)
    except (SecretError, KeyFileError) as error:
        raise SettingsError(f"{str(error).rstrip('.')}.") from None
    if settings.salts_url is None:
        raise SettingsError(
            "ASSAY_SUBJECT_SALTS_URL is not set: with ASSAY_SUBJECT_KEY name the one place where all processes keep the salts, "
            "a directory that they share or a URL (s3://...)."
        )
    return SubjectKeys(master, open_storage(settings.salts_url, setting="ASSAY_SUBJECT_SALTS_URL"))


def _derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """32 bytes for one purpose."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=purpose).derive(secret)


def _why(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
