"""Looks for work again and again, at once when a bell rings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from paddock.errors import PaddockError

log = logging.getLogger(__name__)

BETWEEN_LOOKS = 0.03


async def keep_looking(
    what: str, look: Callable[[], Awaitable[None]], bell: asyncio.Event, seconds: float
) -> None:
    """Until it is cancelled. A look that fails is tried again.

    Args:
        what: is looked for, for the log.
        seconds: between two looks if no bell rings.
    """
    while True:
        bell.clear()
        try:
            await look()
        except PaddockError as error:
            log.error("%s cannot be looked for: %s", what, error.message)
        except Exception:
            log.exception("looking for %s failed; it is tried again", what)
        await asyncio.sleep(BETWEEN_LOOKS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await bell.wait()
