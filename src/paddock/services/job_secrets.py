"""Keys that callers lend to a job: encrypted where they lie, shown to nobody, and gone once it is over.

What encrypts them does not lie in the store: who gets hold of a copy of that has nothing. It is a file of the
data folder that only the server's user reads, or the setting `secret_key` where several machines share a
store.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.orm import Session

from paddock.errors import StorageFailed
from paddock.services.platform import Platform, in_thread
from paddock.store.sessions import ChangeSession
from paddock.store.tables import SecretRow

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

FILE = "secret.key"
_RETRY_AFTER = 30.0


async def seal(platform: Platform, text: str) -> bytes:
    """What `keep` takes.

    Raises:
        ImportError: cryptography is not installed.
        StorageFailed: the file with the key cannot be read or made.
    """
    return (await in_thread(lambda: _cipher(platform))).encrypt(text.encode())


def keep(session: ChangeSession, job_id: str, sealed: bytes) -> None:
    """In the transaction that makes the job."""
    session.add(SecretRow(name=_name(job_id), value=sealed))


def forget(session: ChangeSession, job_id: str) -> None:
    """In the transaction that ends the job."""
    session.execute(delete(SecretRow).where(SecretRow.name == _name(job_id)))


async def find(platform: Platform, job_id: str) -> str | None:
    """What was lent to the job; None if it is over, or another key encrypted it.

    Raises:
        ImportError, StorageFailed: as `seal`.
    """

    def read(session: Session) -> bytes | None:
        row = session.get(SecretRow, _name(job_id))
        return row.value if row is not None else None

    sealed = await platform.store.read(read)
    if sealed is None:
        return None
    cipher = await in_thread(lambda: _cipher(platform))
    # As `seal`: an extra that few have.
    from cryptography.fernet import InvalidToken

    try:
        return cipher.decrypt(sealed).decode()
    except InvalidToken:
        return None


def _cipher(platform: Platform) -> Fernet:
    # An extra that few have, and that a start of the server need not pay for.
    from cryptography.fernet import Fernet

    if (given := platform.settings.secret_key) is not None:
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(given.encode()).digest()))
    path = platform.settings.data_dir / FILE
    try:
        with contextlib.suppress(FileNotFoundError):
            return Fernet(path.read_bytes())
        _make(path, Fernet.generate_key())
        return Fernet(path.read_bytes())
    except OSError as error:
        raise StorageFailed(
            f"cannot read {path}: {error.strerror or error}", retry_after=_RETRY_AFTER
        ) from error
    except ValueError:
        raise StorageFailed(f"{path} is no key of Paddock's") from None


def _make(path: Path, key: bytes) -> None:
    """Of several processes one makes it, whole, and the others find it."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink()


def _name(job_id: str) -> str:
    return f"job/{job_id}"
