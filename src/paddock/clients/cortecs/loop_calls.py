"""Calls that must not be left half done, on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def undisturbed(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `call` to its end; a cancellation that comes meanwhile takes effect after it."""
    task = asyncio.get_running_loop().create_task(call())
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    failed = None if task.cancelled() else task.exception()
    if cancelled is not None:
        raise cancelled from failed
    task.result()
