"""Where a job keeps its blobs until it is over, and how they go after that."""

from __future__ import annotations

import time

from sqlalchemy import select

from paddock.services.platform import Platform
from paddock.store.tables import JobRow

FORGOTTEN = 3600.0
"""Seconds after which the bytes of a job that nobody knows belong to a request that was cut off."""


def everything(platform: Platform) -> str:
    """Below which all jobs of this store keep their blobs."""
    return f"jobs/{platform.mark}"


def folder(platform: Platform, job_id: str) -> str:
    """Below which a job keeps its blobs until it is over."""
    return f"{everything(platform)}/{job_id}"


async def clear(platform: Platform, job_id: str) -> None:
    """Removes the blobs of a job that is over.

    Raises:
        StorageFailed: some are left; `sweep` removes them.
    """
    for blob in await platform.blobs.list(folder(platform, job_id)):
        await platform.blobs.delete(blob.key)


async def sweep(platform: Platform) -> None:
    """Removes the blobs of jobs that are over, or that were never accepted.

    Raises:
        StorageFailed: the storage cannot be had.
    """
    # Looked at before the jobs: what is stored for a new one meanwhile is not among them.
    there = await platform.blobs.list(everything(platform))
    unfinished = await platform.store.read(
        lambda session: set(session.scalars(select(JobRow.id).where(JobRow.finished_at.is_(None))))
    )
    before = time.time() - FORGOTTEN
    for blob in there:
        if blob.key.split("/")[2] not in unfinished and blob.written_at < before:
            await platform.blobs.delete(blob.key)
