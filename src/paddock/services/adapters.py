"""What can be done with adapters. Every deployment of an adapter's model in its project serves it.

The bytes lie whole in the blobs before a row tells of them.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.errors import NotFound, PaddockError, StartupError
from paddock.services import adapter_files, blob_files, commanded, deployments, events
from paddock.services.blob_files import StoredFile
from paddock.services.holds import ORIGIN
from paddock.services.platform import Platform, in_thread
from paddock.store.sessions import ChangeSession
from paddock.store.tables import AdapterRow, DeploymentRow

JSON = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adapter:
    """
    Attributes:
        model, source: of the model that it belongs to.
        files: of its Hugging Face folder.
        gguf, gguf_bytes: the blob of the same for llama.cpp, and its size.
    """

    id: str
    name: str
    model: str
    source: str
    job_id: str
    gguf: str
    gguf_bytes: int
    files: Sequence[StoredFile] = ()
    details: JSON = field(default_factory=dict)
    created_at: float = 0.0


def new_id() -> str:
    return f"adp-{secrets.token_hex(8)}"


def add(session: ChangeSession, project: str, made: Adapter, now: float) -> str:
    """From here on it is there: the deployments of its model bring up engines that serve it, and end the
    others when these are ready. May be said again.

    Returns:
        what it is called: by its id if somebody named something else so while it was learned.
    """
    if (known := session.get(AdapterRow, made.id)) is not None:
        return known.name
    name = made.name
    if deployments.find_named(session, project, name) or deployments.find_adapter(session, project, name):
        log.warning("the adapter %s is called by its id: there is another %r", made.id, name)
        name = made.id
    session.add(
        AdapterRow(
            id=made.id,
            project=project,
            name=name,
            model=made.model,
            source=made.source,
            job_id=made.job_id,
            files=[vars(file) for file in made.files],
            gguf=made.gguf,
            gguf_bytes=made.gguf_bytes,
            details=made.details,
            created_at=now,
        )
    )
    session.flush()
    _renew(session, project, made.source, "to serve", name, now)
    return name


async def get(platform: Platform, project: str, name: str) -> Adapter:
    """By name or id.

    Raises:
        NotFound: there is none, or it is another project's.
    """
    return await platform.store.read(lambda session: _adapter(find(session, project, name)))


async def list_all(platform: Platform, project: str) -> list[Adapter]:
    """In the order in which they were made."""
    query = select(AdapterRow).where(AdapterRow.project == project, AdapterRow.deleted_at.is_(None))
    query = query.order_by(AdapterRow.created_at, AdapterRow.id)
    return await platform.store.read(lambda session: [_adapter(row) for row in session.scalars(query)])


async def delete(platform: Platform, project: str, name: str) -> Adapter:
    """Nobody is answered by it any more, and its bytes go.

    Raises:
        NotFound: as `get`.
    """

    def work(session: ChangeSession) -> Adapter:
        row, now = find(session, project, name), time.time()
        row.deleted_at = now
        session.flush()
        _renew(session, project, row.source, "without", row.name, now)
        return _adapter(row)

    gone = await platform.change(work)
    try:
        await adapter_files.remove(platform, gone.id)
    except PaddockError as error:
        log.warning("the bytes of %s are removed later: %s", gone.name, error.message)
    return gone


def find(session: Session, project: str, name: str) -> AdapterRow:
    """
    Raises:
        NotFound: there is none of this name or id in the project.
    """
    row = deployments.find_adapter(session, project, name) or session.get(AdapterRow, name)
    if row is None or row.project != project or row.deleted_at is not None:
        raise NotFound(f"there is no adapter {name[:140]!r}", code="adapter_not_found")
    return row


def beside(session: Session, row: DeploymentRow) -> list[Adapter]:
    """Those that the deployment serves, in the order in which they were made."""
    if row.origin == ORIGIN:
        return []
    query = select(AdapterRow).where(AdapterRow.source == row.source, AdapterRow.deleted_at.is_(None))
    if row.origin != commanded.ORIGIN:
        query = query.where(AdapterRow.project == row.project)
    return [_adapter(row) for row in session.scalars(query.order_by(AdapterRow.created_at, AdapterRow.id))]


async def bring(platform: Platform, adapter_id: str, blob: str, size: int) -> Path:
    """The adapter's file for llama.cpp on this machine, fetched unless it is there.

    Raises:
        NotFound: it was deleted meanwhile.
        StorageFailed: it cannot be had now.
        StartupError: it cannot be written here.
    """
    path = adapter_files.on_this_machine(platform) / f"{adapter_id}.gguf"
    if path.is_file() and path.stat().st_size == size:
        return path
    try:
        await in_thread(lambda: path.parent.mkdir(parents=True, exist_ok=True))
        await blob_files.fetch(platform.blobs, blob, path)
    except OSError as error:
        raise StartupError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _renew(session: ChangeSession, project: str, source: str, why: str, name: str, now: float) -> None:
    """
    Args:
        why: with the adapter's `name` after it; that is for its own project only.
    """
    query = select(DeploymentRow).where(
        commanded.serves(project),
        DeploymentRow.source == source,
        DeploymentRow.deleted_at.is_(None),
        DeploymentRow.origin != ORIGIN,
        DeploymentRow.wanted == "serve",
    )
    for row in session.scalars(query):
        deployments.renew(row)
        told = f"{why} {name}" if row.project == project else "for an adapter"
        row.updated_at, row.revision, row.attention = now, session.revision, True
        events.record(session, row, "updated", f"generation {row.generation}, {told}", now)


def _adapter(row: AdapterRow) -> Adapter:
    return Adapter(
        id=row.id,
        name=row.name,
        model=row.model,
        source=row.source,
        job_id=row.job_id,
        gguf=row.gguf,
        gguf_bytes=row.gguf_bytes,
        files=[StoredFile(**file) for file in row.files],
        details=row.details,
        created_at=row.created_at,
    )
