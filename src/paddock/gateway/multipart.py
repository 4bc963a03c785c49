"""Forms with files (multipart/form-data, RFC 7578), read while they are received."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TypeAlias
from urllib.parse import quote, unquote, unquote_to_bytes

import multipart

from paddock.errors import InvalidRequest
from paddock.gateway.http import Request

LARGEST_FIELD = 64 * 1024
MOST_PARTS = 64
LONGEST_BOUNDARY = 200
"""RFC 2046 allows 70 characters."""
_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_EXTENDED_FILENAME = re.compile(r";\s*filename\*\s*=\s*([\w-]+)'[^']*'([^\s;]*)", re.IGNORECASE)

Event: TypeAlias = multipart.MultipartSegment | bytes | None
"""A part's head, some of its bytes, or its end."""


class Part:
    """One part of a form: a plain field, or a file.

    Attributes:
        filename: as the client gave it, which may look like a path; None for a plain field.
        content_type: in lower case, without parameters; empty if none was given.
    """

    def __init__(
        self, name: str, filename: str | None, content_type: str, events: AsyncIterator[Event]
    ) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self._events = events
        self._ended = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """What of the part has not been read yet.

        Raises:
            InvalidRequest: it is a plain field of more than `LARGEST_FIELD` bytes, or the form is broken.
            BodyTooLarge, BadHttp: as `Request.pieces`.
        """
        size = 0
        while not self._ended:
            event = await anext(self._events)
            if not isinstance(event, bytes):
                self._ended = True
                return
            size += len(event)
            if self.filename is None and size > LARGEST_FIELD:
                raise InvalidRequest(
                    f"form field {self.name[:40]!r} is longer than {LARGEST_FIELD} bytes; only a file may be,"
                    " which is a part with a filename",
                    param=self.name[:40],
                )
            yield event

    async def text(self) -> str:
        """A plain field's value.

        Raises:
            InvalidRequest: it is not UTF-8, has a NUL, or is a file.
            As `pieces`.
        """
        if self.filename is not None:
            raise InvalidRequest(
                f"form field {self.name[:40]!r} must be a plain field, not a file", param=self.name[:40]
            )
        value = b"".join([piece async for piece in self.pieces()])
        if b"\0" in value:
            raise InvalidRequest(
                f"form field {self.name[:40]!r} must not have a NUL character", param=self.name[:40]
            )
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(
                f"form field {self.name[:40]!r} must be text in UTF-8", param=self.name[:40]
            ) from None


async def parts(request: Request, limit: int) -> AsyncIterator[Part]:
    """The parts of a form in the order in which they come; what is not read of one is passed over.

    Args:
        limit: of the whole body in bytes.

    Raises:
        InvalidRequest: the body is no form or a broken one, it ended in the middle, it has more than
            `MOST_PARTS` parts, or one of them has no name.
        BodyTooLarge, BadHttp: as `Request.pieces`.
    """
    events = _events(request.pieces(limit), _boundary(request))
    count = 0
    async for event in events:
        if not isinstance(event, multipart.MultipartSegment):
            continue
        count += 1
        if count > MOST_PARTS:
            raise InvalidRequest(f"the form has more than {MOST_PARTS} parts, the most that are taken here")
        part = _new_part(event, events)
        yield part
        async for _ in part.pieces():
            continue


def _boundary(request: Request) -> str:
    header = request.headers.get(b"content-type", b"").decode("latin-1")
    kind, options = multipart.parse_options_header(header)
    if kind != "multipart/form-data":
        raise InvalidRequest(
            f"the body must be a form with the content type multipart/form-data, not {kind[:60] or 'none'!r}",
            param="Content-Type",
        )
    boundary: str = options.get("boundary", "")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise InvalidRequest(
            f"the content type multipart/form-data must name a boundary of 1 to {LONGEST_BOUNDARY}"
            " characters; HTTP clients do that themselves when they are left to set the header",
            param="Content-Type",
        )
    return boundary


async def _events(pieces: AsyncIterator[bytes], boundary: str) -> AsyncIterator[Event]:
    # Names in other charsets than UTF-8 must not end the parsing: as Latin-1 any bytes pass.
    parser = multipart.PushMultipartParser(boundary.encode("latin-1"), header_charset="latin-1")
    try:
        async for piece in pieces:
            for event in parser.parse(piece):
                yield event
    except multipart.MultipartError as error:
        raise InvalidRequest(f"the form is not valid multipart/form-data: {error}") from None
    try:
        parser.close()
    except multipart.MultipartError:
        raise InvalidRequest(
            f"the form ended before its last boundary, which is --{boundary[:70]}--; was it cut off?"
        ) from None


def _new_part(head: multipart.MultipartSegment, events: AsyncIterator[Event]) -> Part:
    disposition = _utf8(head.header("Content-Disposition", ""))
    _, options = multipart.parse_options_header(disposition, unquote=_unquoted)
    name = options.get("name", "")
    if not name:
        raise InvalidRequest(
            'a part of the form has no name; its head must say Content-Disposition: form-data; name="…"'
        )
    encoding = head.header("Content-Transfer-Encoding", "").strip().lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise InvalidRequest(
            f"form field {name[:40]!r} comes in the transfer encoding {encoding[:40]!r}, which RFC 7578 does"
            " away with; send its bytes as they are",
            param=name[:40],
        )
    return Part(name, _filename(disposition, options), head.content_type or "", events)


def _filename(disposition: str, options: dict[str, str]) -> str | None:
    """RFC 5987's form of it, which aiohttp sends, comes before the plain one, as RFC 6266 has it."""
    extended = _EXTENDED_FILENAME.search(_QUOTED.sub('""', disposition))
    if extended is None:
        name = options.get("filename")
    else:
        charset = "latin-1" if extended[1].lower() == "iso-8859-1" else "utf-8"
        name = unquote_to_bytes(extended[2]).decode(charset, "replace")
    # A store for text has no place for it.
    return None if name is None else name.replace("\0", "\ufffd")


def _unquoted(value: str, is_filename: bool) -> str:
    # aiohttp percent-encodes all that can be, as RFC 7578 has it; others quotes and line breaks only.
    inner = value.strip('"')
    if "%" in inner and quote(unquote(inner), safe="") == inner:
        return unquote(inner)
    # The library's own way with a filename cuts a Windows path down to its last part.
    return str(multipart.content_disposition_unquote(value))


def _utf8(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "replace")
