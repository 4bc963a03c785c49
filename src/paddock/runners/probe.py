"""One small HTTP question to a process that may not listen yet."""

from __future__ import annotations

import asyncio
import contextlib

PATIENCE = 2.0


async def fetch(host: str, port: int, path: str, key: str | None, body: bytes | None = None) -> int | None:
    """The HTTP status of a GET, or a POST of JSON, to `host`:`port`; None when nobody answers properly."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {host}:{port}"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    lines += ["Connection: close", "Content-Type: application/json", f"Content-Length: {len(body or b'')}"]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            words = (await reader.readline()).split()
            return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") else None
    except (OSError, TimeoutError, ValueError):
        return None
    finally:
        if writer:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
