"""Sends bytes as an answer while they are read from where they lie."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from paddock.errors import PaddockError
from paddock.gateway.head import new_headers
from paddock.gateway.http import Caller, Request


async def send(
    request: Request,
    source: AsyncIterator[bytes],
    *,
    content_type: str,
    length: int | None = None,
    headers: bytes = b"",
) -> None:
    """Answers with what `source` gives, no faster than the client takes it: two pieces are held at most.

    The source is closed in any case, at once if the client leaves. If it fails after the first piece, or
    does not give `length` bytes, the connection ends in the middle, by which the client sees that the
    answer is cut off. To HEAD the answer has no body.

    Args:
        length: of all pieces together in bytes, if it is known.
        headers: further lines that each end in CRLF.

    Raises:
        Whatever the source does. Before its first piece nothing was sent: answer as you like.
    """
    async with _closing(source):
        piece = await anext(source, None)
        request.record.status = 200
        request.record.streamed = True
        first = new_headers(("content-type", content_type), ("x-request-id", request.id))
        request.connection.start_stream(200, first + headers, length)
        if request.method == "HEAD":
            return
        try:
            await _pass_on(request.connection, piece, source, length)
        except Exception as error:
            request.record.outcome = error.code if isinstance(error, PaddockError) else "cut_off"
            if length is None and not request.http_1_1:
                # HTTP/1.0 marks the end of such an answer by the end of the connection.
                request.connection.reset()
            raise
        request.connection.end_stream()


async def _pass_on(
    connection: Caller, piece: bytes | None, source: AsyncIterator[bytes], length: int | None
) -> None:
    sent = 0
    while piece is not None:
        sent += len(piece)
        if length is not None and sent > length:
            break
        connection.write(piece)
        # A source that never waits, and a client that is as fast, would leave no time for anybody else.
        await asyncio.sleep(0)
        await _taken(connection)
        piece = await anext(source, None)
    if length is not None and sent != length:
        raise PaddockError(f"an answer of {length} bytes was announced, and its source has {sent} or more")


async def _taken(connection: Caller) -> None:
    """Returns once the client keeps up."""
    if not connection.paused:
        return
    resumed = asyncio.Event()
    connection.on_resume = resumed.set
    try:
        await resumed.wait()
    finally:
        connection.on_resume = None


@contextlib.asynccontextmanager
async def _closing(source: AsyncIterator[bytes]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()
