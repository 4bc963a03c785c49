"""What every process of the server does in the same way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys

from paddock.inference.log_lines import Lines
from paddock.settings import Settings

_NEW_OBJECTS = 20_000
"""Since the last collection of the youngest, that bring about another one; some MB."""


def log_to_stderr(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(as_json=settings.log_format == "json"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # It reports each file it writes; the progress of a conversion is shown by us.
    logging.getLogger("gguf").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def collect_seldom() -> None:
    """The modules stay anyhow: a collection need not go through them, which takes some 60 ms and holds up
    every answer meanwhile. And what requests leave is freed without one: by the usual threshold it would be
    looked for hundreds of times a second.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


async def cancelled(task: asyncio.Task[None]) -> None:
    """Returns once the task is over."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
