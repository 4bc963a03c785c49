"""What can be done with stored files. The bytes lie whole in the blobs before a row tells of them."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import logging
import re
import secrets
import time
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, literal, or_, select, tuple_
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session

from paddock.errors import BodyTooLarge, Conflict, InvalidRequest, NotFound, StorageFailed
from paddock.schemas.files import LONGEST_NAME, File
from paddock.services.platform import Platform
from paddock.store.blobs import Blobs
from paddock.store.sessions import ChangeSession, WriteSession
from paddock.store.tables import FileRow, JobRow

log = logging.getLogger(__name__)
_ID = re.compile("file-[0-9a-f]{1,64}")
AT_ONCE = 2**20
"""Bytes that are written, and meant to be in memory, at once."""
FORGOTTEN = 24 * 3600.0
"""Seconds after which bytes without a row belong to an upload that was cut off."""
BROKEN_OFF = 3600.0
"""Seconds without a byte after which a blob that is being written is no more."""


@dataclass(frozen=True)
class Received:
    """Bytes that lie whole in the blobs, and that no row tells of yet.

    Attributes:
        characters: their length as text; None if they are not UTF-8.
    """

    id: str
    blob: str
    bytes: int
    characters: int | None
    sha256: str
    blobs: Blobs

    async def discard(self) -> None:
        """For who does not keep them. What cannot be removed now, `sweep` removes."""
        await _remove(self.blobs, [self.blob])


async def receive(platform: Platform, pieces: AsyncIterator[bytes], *, limit: int | None = None) -> Received:
    """Stores bytes as they come, holding about `AT_ONCE` of them. If it raises, or is cancelled, nothing is
    left of them.

    Args:
        limit: in bytes; by default the setting `max_file`.

    Raises:
        BodyTooLarge: there are more bytes.
        StorageFailed: they cannot be written.
    """
    limit = platform.settings.max_file if limit is None else limit
    identity = f"file-{secrets.token_hex(12)}"
    key = f"{_folder(platform)}/{identity}"
    tally, waiting, writer = _Tally(), bytearray(), await platform.blobs.writer(key)
    try:
        async for piece in pieces:
            waiting += piece
            if tally.bytes + len(waiting) > limit:
                raise BodyTooLarge(f"there are more than {limit} bytes, the most that is taken here")
            if len(waiting) >= AT_ONCE:
                whole, waiting = bytes(waiting), bytearray()
                await asyncio.to_thread(tally.add, whole)
                await writer.write(whole)
        await asyncio.to_thread(tally.add, bytes(waiting), last=True)
        await writer.write(bytes(waiting))
        await writer.commit()
    except BaseException:
        await writer.abort()
        # A commit that was cancelled, or whose answer was lost, may have come to its end.
        await _remove(platform.blobs, [key])
        raise
    return Received(identity, key, tally.bytes, tally.characters, tally.sha256, platform.blobs)


async def keep(
    platform: Platform,
    project: str,
    received: Received,
    filename: str,
    purpose: str,
    expires_at: float | None = None,
) -> File:
    """Makes a file of received bytes: from here on everyone sees it.

    Raises:
        InvalidRequest: the name is none; the bytes are discarded.
        StoreFailed: nobody knows whether there is a file now; the bytes must stay.
    """
    try:
        check_name(filename)
    except InvalidRequest:
        await received.discard()
        raise
    return await platform.store.write(
        lambda session: add(session, project, received, filename, purpose, expires_at)
    )


def add(
    session: WriteSession,
    project: str,
    received: Received,
    filename: str,
    purpose: str,
    expires_at: float | None = None,
) -> File:
    """`keep` as a part of a larger change. The name was checked."""
    row = FileRow(
        id=received.id,
        project=project,
        filename=filename,
        purpose=purpose,
        bytes=received.bytes,
        characters=received.characters,
        sha256=received.sha256,
        blob=received.blob,
        created_at=time.time(),
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return _file(row)


def check_name(filename: str, param: str = "file") -> str:
    """
    Raises:
        InvalidRequest: it is empty or too long, or has characters that cannot be shown.
    """
    if not 0 < len(filename) <= LONGEST_NAME:
        raise InvalidRequest(
            f"{param}: the filename must have from 1 to {LONGEST_NAME} characters, not {len(filename)}",
            param=param,
        )
    for character in filename:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise InvalidRequest(
                f"{param}: the filename must have no control characters, as it has U+{ord(character):04X}",
                param=param,
            )
    return filename


async def get(platform: Platform, project: str, identity: str, *, expired: bool = False) -> File:
    """
    Args:
        expired: also one whose time is over, for work that was accepted before.

    Raises:
        NotFound: there is none, or it is another project's, or expired.
    """
    return await platform.store.read(lambda session: _file(find(session, project, identity, expired=expired)))


def find(session: Session, project: str, identity: str, *, expired: bool = False) -> FileRow:
    """
    Raises:
        NotFound: as `get`.
    """
    query = select(FileRow).where(FileRow.project == project, FileRow.id == identity)
    row = None
    # What else may stand in a URL, PostgreSQL may not even take as text.
    if _ID.fullmatch(identity):
        row = session.scalars(query if expired else query.where(_lasts())).first()
    if row is None:
        raise NotFound(f"there is no file {identity[:140]!r}", code="file_not_found")
    return row


def find_name(session: Session, project: str, filename: str) -> list[FileRow]:
    """Those that bear a name, which `check_name` passes; the oldest first."""
    query = select(FileRow).where(FileRow.project == project, FileRow.filename == filename, _lasts())
    return list(session.scalars(query.order_by(FileRow.created_at, FileRow.id)))


async def list_page(
    platform: Platform,
    project: str,
    *,
    purpose: str | None = None,
    limit: int | None = None,
    after: str | None = None,
    newest_first: bool = True,
) -> tuple[list[File], bool]:
    """(files, whether there are more), in the order in which they were made; all of them without a `limit`.

    Raises:
        NotFound: there is no file `after`.
    """

    def work(session: Session) -> tuple[list[File], bool]:
        query = select(FileRow).where(FileRow.project == project, _lasts())
        if purpose is not None:
            query = query.where(FileRow.purpose == purpose)
        if after is not None:
            last = find(session, project, after)
            place = tuple_(FileRow.created_at, FileRow.id)
            end = tuple_(literal(last.created_at), literal(last.id))
            query = query.where(place < end if newest_first else place > end)
        order = [FileRow.created_at, FileRow.id]
        query = query.order_by(*(column.desc() if newest_first else column for column in order))
        rows = list(session.scalars(query if limit is None else query.limit(limit + 1)))
        more = limit is not None and len(rows) > limit
        return [_file(row) for row in rows[:limit]], more

    return await platform.store.read(work)


async def list_all(platform: Platform, project: str) -> list[File]:
    """The newest first."""
    found, _ = await list_page(platform, project)
    return found


async def delete(platform: Platform, project: str, identity: str) -> None:
    """
    Raises:
        NotFound: as `get`.
        Conflict: a job that is not over reads it.
    """

    # A change, though no gateway follows it: jobs are made by changes, which come one after the other.
    def work(session: ChangeSession) -> str:
        row = find(session, project, identity)
        reading = select(JobRow.id).where(JobRow.input == f"file:{row.id}", JobRow.finished_at.is_(None))
        if (job := session.scalars(reading).first()) is not None:
            raise Conflict(
                f"file {row.id} is read by job {job}, which is not over: cancel the job first, or wait",
                code="file_in_use",
            )
        session.delete(row)
        return row.blob

    await _remove(platform.blobs, [await platform.store.change(work)])


def content(platform: Platform, file: File, offset: int = 0) -> AsyncGenerator[bytes, None]:
    """Its bytes from `offset` on, in pieces of at most `blobs.PIECE`.

    Raises:
        NotFound: it was deleted meanwhile.
        StorageFailed: they cannot be read.
    """
    return platform.blobs.read(file.blob, offset)


async def sweep(platform: Platform) -> None:
    """Removes files whose time is over, unless a job reads them, and what uploads that were killed left."""
    now = time.time()
    reading = select(JobRow.input).where(JobRow.finished_at.is_(None))

    def expired(session: Session) -> bool:
        return session.scalars(select(FileRow.id).where(~_lasts(now))).first() is not None

    def expire(session: ChangeSession) -> list[str]:
        over = delete_rows(FileRow).where(~_lasts(now), ("file:" + FileRow.id).not_in(reading))
        return list(session.scalars(over.returning(FileRow.blob)))

    def known(session: Session) -> set[str]:
        return set(session.scalars(select(FileRow.blob)))

    if await platform.store.read(expired):
        await _remove(platform.blobs, await platform.store.change(expire))
    try:
        await platform.blobs.sweep(now - BROKEN_OFF)
        # Looked at before the rows: a blob that gets its row meanwhile is found among them.
        there = await platform.blobs.list(_folder(platform))
    except StorageFailed as error:
        log.warning("what uploads left behind stays: %s", error.message)
        return
    kept = await platform.store.read(known)
    old = [blob.key for blob in there if blob.written_at < now - FORGOTTEN]
    await _remove(platform.blobs, [key for key in old if key not in kept])


class _Tally:
    """What is found out about bytes while they pass: used by one thread after the other."""

    def __init__(self) -> None:
        self.bytes = 0
        self.characters: int | None = 0
        self._digest = hashlib.sha256()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def add(self, piece: bytes, last: bool = False) -> None:
        self.bytes += len(piece)
        self._digest.update(piece)
        if self.characters is not None:
            try:
                self.characters += len(self._decoder.decode(piece, last))
            except UnicodeDecodeError:
                self.characters = None


async def _remove(blobs: Blobs, keys: Sequence[str]) -> None:
    try:
        for key in keys:
            await blobs.delete(key)
    except StorageFailed as error:
        log.warning("bytes that nobody needs stay until the next start: %s", error.message)


def _lasts(now: float | None = None) -> ColumnElement[bool]:
    now = time.time() if now is None else now
    return or_(FileRow.expires_at.is_(None), FileRow.expires_at > now)


def _folder(platform: Platform) -> str:
    """Where this store's files lie. Each store has its own: what it does not know may be another's."""
    return f"files/{hashlib.sha256(str(platform.store).encode()).hexdigest()[:12]}"


def _file(row: FileRow) -> File:
    return File.model_validate({name: getattr(row, name) for name in File.model_fields})
