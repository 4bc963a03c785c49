"""Whose turn it is at an engine with adapters: llama.cpp decodes only requests of the same adapter together.

Of requests for several it works on those of the first busy slot until that slot is idle, so under steady load
for one adapter another's would never be answered. Here they take turns: while others wait, an adapter gets no
new requests in once its turn is over, and the next one begins when those that it has in are done.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TURN_SECONDS = 0.25
"""How long an adapter may let new requests in while others wait; shorter turns leave more slots idle."""


class Turns:
    """Of one engine. The base model's own requests are those of the adapter "".

    Args:
        slots: requests that the engine decodes at once. As long as somebody waits it is not given more: they
            would only make the turn longer.
    """

    def __init__(self, slots: int) -> None:
        self._slots = max(1, slots)
        self._adapter = ""
        self._inside = 0
        self._began = 0.0
        # In the order of their next turns.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def of(self, adapter: str) -> AsyncIterator[None]:
        """Waits for the adapter's turn; it lasts at least as long as the block."""
        await self._enter(adapter)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, adapter: str) -> None:
        if not self._waiting:
            if not self._inside:
                self._begin(adapter)
            if adapter == self._adapter:
                self._inside += 1
                return
        let_in = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(adapter, deque()).append(let_in)
        self._advance()
        try:
            await let_in
        except asyncio.CancelledError:
            if let_in.cancelled():
                self._forget(adapter, let_in)
            else:
                self._leave()
            raise

    def _leave(self) -> None:
        self._inside -= 1
        self._advance()

    def _forget(self, adapter: str, gone: asyncio.Future[None]) -> None:
        mine = self._waiting.get(adapter)
        if mine is not None and gone in mine:
            mine.remove(gone)
            if not mine:
                del self._waiting[adapter]
            # Perhaps nobody but the adapter whose turn it is waits any more.
            self._advance()

    def _advance(self) -> None:
        """Lets in whoever may enter now."""
        while self._waiting:
            if not self._inside:
                self._begin(self._next())
            if self._adapter not in self._waiting or not self._has_room():
                return
            self._let_in()

    def _has_room(self) -> bool:
        """Whether the adapter whose turn it is may have another one in."""
        if len(self._waiting) == 1:
            return True
        return self._inside < self._slots and time.monotonic() - self._began < TURN_SECONDS

    def _next(self) -> str:
        """The adapter that has waited longest; the last one again only if no other waits."""
        return next((one for one in self._waiting if one != self._adapter), self._adapter)

    def _begin(self, adapter: str) -> None:
        self._adapter, self._began = adapter, time.monotonic()
        # Those of it that do not get in now wait behind the others.
        if (mine := self._waiting.pop(adapter, None)) is not None:
            self._waiting[adapter] = mine

    def _let_in(self) -> None:
        mine = self._waiting[self._adapter]
        let_in = mine.popleft()
        if not mine:
            del self._waiting[self._adapter]
        if not let_in.done():
            self._inside += 1
            let_in.set_result(None)
