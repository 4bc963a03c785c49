"""Runs one test on the synchronous and on the asynchronous side of the Fireworks client."""

from __future__ import annotations

import asyncio
from typing import Any

import paddock.clients.fireworks as fireworks


class Sync:
    """`create` as it is."""

    def create(self, kind: Any, *args: Any, **kwargs: Any) -> Any:
        return kind.create(*args, **kwargs)

    def pieces(self, kind: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return list(kind.create(*args, stream=True, **kwargs))

    def first_piece(self, kind: Any, *args: Any, **kwargs: Any) -> Any:
        """The first piece of a stream that is then abandoned."""
        for piece in kind.create(*args, stream=True, **kwargs):
            return piece
        return None

    def models(self) -> Any:
        return fireworks.Model.list()


class Async:
    """`acreate`, each call in an event loop of its own."""

    def create(self, kind: Any, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(kind.acreate(*args, **kwargs))

    def pieces(self, kind: Any, *args: Any, **kwargs: Any) -> list[Any]:
        async def collect() -> list[Any]:
            return [piece async for piece in kind.acreate(*args, stream=True, **kwargs)]

        return asyncio.run(collect())

    def first_piece(self, kind: Any, *args: Any, **kwargs: Any) -> Any:
        async def first() -> Any:
            found = None
            async for piece in kind.acreate(*args, stream=True, **kwargs):
                found = piece
                break
            await asyncio.sleep(0.1)
            return found

        return asyncio.run(first())

    def models(self) -> Any:
        return asyncio.run(fireworks.Model.alist())
