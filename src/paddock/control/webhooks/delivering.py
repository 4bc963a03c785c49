"""Sends what waits for webhooks and callbacks, as much at once as it may, until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from paddock.control.looking import keep_looking
from paddock.errors import PaddockError
from paddock.services.platform import Platform, in_thread
from paddock.services.webhooks import outbox, sending
from paddock.services.webhooks.outbox import Message, Room

if TYPE_CHECKING:
    from httpcore2 import AsyncConnectionPool

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks for messages: they wait in the store, and time alone makes most of them due."""
IN_ALL, OF_PROJECT, OF_TARGET = 256, 16, 8
"""Messages on their way at once."""


class Delivering:
    """Several processes may do this at once: each message is taken up by one of them.

    Attributes:
        delivered, failed: tries of this process so far that brought a message, and that did not.
        given_up: messages that will not be tried again, though nobody disabled or deleted what they were for.
    """

    def __init__(self, platform: Platform) -> None:
        self.delivered = self.failed = self.given_up = 0
        self._store = platform.store
        self._private = platform.settings.allow_private_urls
        self._busy: Counter[tuple[str, str]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bell = asyncio.Event()
        self._pool: AsyncConnectionPool | None = None

    async def run(self) -> None:
        """Until it is cancelled; whoever comes next sends again what was on its way then."""
        try:
            await keep_looking("messages to webhooks", self._look, self._bell, LOOK_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._pool is not None:
                await self._pool.aclose()

    async def _look(self) -> None:
        if not await self._store.read(lambda session: outbox.is_due(session, time.time())):
            return
        pool = await self._opened()
        room = Room(IN_ALL, OF_PROJECT, OF_TARGET, Counter(self._busy))
        for message in await self._store.write(lambda session: outbox.claim(session, time.time(), room)):
            self._busy[message.project, message.target] += 1
            task = asyncio.create_task(self._send(pool, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _opened(self) -> AsyncConnectionPool:
        if self._pool is None:
            # The system's certificates take a moment to read, which few servers need.
            self._pool = await in_thread(lambda: sending.new_pool(private=self._private))
        return self._pool

    async def _send(self, pool: AsyncConnectionPool, message: Message) -> None:
        try:
            outcome = await sending.send(pool, message, private=self._private)
            if outcome.error:
                self.failed += 1
                log.info("%s for %s was not delivered: %s", message.event_id, message.target, outcome.error)
            else:
                self.delivered += 1
            settle = partial(outbox.settle, message=message, outcome=outcome, now=time.time())
            self.given_up += await self._store.write(settle)
        except PaddockError as error:
            # Its lease runs out, and it is sent again.
            log.error("what became of %s cannot be noted: %s", message.event_id, error.message)
        except Exception:
            log.exception("sending %s to %s failed; it is tried again", message.event_id, message.target)
        finally:
            self._leave(message)

    def _leave(self, message: Message) -> None:
        place = message.project, message.target
        self._busy[place] -= 1
        if not self._busy[place]:
            del self._busy[place]
        self._bell.set()
