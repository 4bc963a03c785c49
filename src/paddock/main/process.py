"""What every process of the server does in the same way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys

from paddock.inference.log_lines import Lines
from paddock.settings import Settings


def log_to_stderr(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(as_json=settings.log_format == "json"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # It reports each file it writes; the progress of a conversion is shown by us.
    logging.getLogger("gguf").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def keep_what_is_loaded() -> None:
    """The modules stay anyhow: a collection need not go through them, which takes some 60 ms and holds up
    every answer meanwhile.
    """
    gc.freeze()


async def cancelled(task: asyncio.Task[None]) -> None:
    """Returns once the task is over."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
