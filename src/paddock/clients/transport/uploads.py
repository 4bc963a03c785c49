"""A file as a part of a form, read while it is sent."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Protocol

_PIECE = 256 * 1024


class Readable(Protocol):
    """What is read of a file, and whether that is bytes or text."""

    def read(self, size: int, /) -> bytes | str: ...


class Upload:
    """The body of one request: a form (RFC 7578) with a file in it, of which a piece at a time is held.

    Args:
        field: the name of the file's part.
        file: open for reading, and read from where it stands. Text goes out as UTF-8.
        filename: what the server is told; without it the last part of `file.name`, or else `field`.
        beside: the form's other parts, which come before the file.

    Raises:
        OSError: from the sending of it: the file cannot be read, or became shorter.

    Attributes:
        content_type: of the body; it holds the boundary between parts.
        length: of the body in bytes; None where the file does not tell its own before its end.
    """

    def __init__(
        self,
        field: str,
        file: Readable,
        filename: str | None = None,
        beside: Mapping[str, str] | None = None,
    ) -> None:
        self._file = file
        self._begin, size = _extent(file)
        self._size = self._left = size
        self._begun = False
        boundary = secrets.token_hex(16)
        parts = [_part(boundary, name) + f"\r\n{value}\r\n" for name, value in (beside or {}).items()]
        parts.append(_part(boundary, field, filename or _filename(file) or field))
        parts.append("content-type: application/octet-stream\r\n\r\n")
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = None if size is None else len(self._head) + size + len(self._tail)

    @property
    def repeatable(self) -> bool:
        """Whether the body can be sent (again): no file that cannot be rewound was read from."""
        return self._begin is not None or not self._begun

    def __iter__(self) -> Generator[bytes]:
        yield self._head
        self._rewind()
        while piece := self._read():
            yield piece
        yield self._tail

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        # Importing asyncio takes longer than all of a synchronous client.
        import asyncio

        yield self._head
        await asyncio.to_thread(self._rewind)
        while piece := await asyncio.to_thread(self._read):
            yield piece
        yield self._tail

    def _rewind(self) -> None:
        if self._begun and self._begin is not None:
            self._file.seek(self._begin)  # type: ignore[attr-defined]  # it could, when it was asked
        self._begun = True
        self._left = self._size

    def _read(self) -> bytes:
        # A file that grows or shrinks meanwhile does not have the length that was announced.
        size = _PIECE if self._left is None else min(_PIECE, self._left)
        piece = self._file.read(size)
        if isinstance(piece, str):
            return piece.encode()
        if self._left is not None:
            self._left -= len(piece)
            if self._left and not piece:
                raise OSError(f"the file became {self._left} bytes shorter while it was sent")
        return piece


def _extent(file: Readable) -> tuple[int | None, int | None]:
    """Where `file` stands and how many bytes follow; None for what it does not tell."""
    try:
        begin: int = file.tell()  # type: ignore[attr-defined]
        file.seek(begin)  # type: ignore[attr-defined]
        if isinstance(file.read(0), str):
            return begin, None
        end: int = file.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
        file.seek(begin)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None, None
    return begin, max(0, end - begin)


def _filename(file: Readable) -> str | None:
    # The name of a file made from a descriptor is a number; of a standard stream, one like <stdin>.
    name = getattr(file, "name", None)
    if not isinstance(name, str) or name[:1] == "<":
        return None
    return os.path.basename(name)


def _part(boundary: str, name: str, filename: str | None = None) -> str:
    file = "" if filename is None else f'; filename="{_quoted(filename)}"'
    return f'--{boundary}\r\ncontent-disposition: form-data; name="{_quoted(name)}"{file}\r\n'


def _quoted(name: str) -> str:
    # As browsers do (https://html.spec.whatwg.org/#multipart-form-data): UTF-8, and these three escaped.
    escaped = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.encode("utf-8", "replace").decode()
