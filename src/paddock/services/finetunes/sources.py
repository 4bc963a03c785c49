"""Where a fine-tune's rows come from: stored files, and what else its dialect lets callers name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from paddock.errors import InvalidRequest, NotFound, StorageFailed, UnsupportedParameter
from paddock.services import disk, files, objects, paths
from paddock.services.platform import Platform, in_thread

_ID = re.compile(r"file-[0-9a-f]+")
_WEB = ("https://", "http://")
_RIGHT = (
    "the id of a stored file, https://HOST/PATH, an absolute path or file:// below a folder that the operator"
    " allowed, or s3://BUCKET/KEY"
)


@dataclass(frozen=True)
class Source:
    """
    Attributes:
        pieces: its bytes; InvalidRequest instead of one where it cannot be read to its end.
        name: the file's own.
    """

    pieces: AsyncGenerator[bytes, None]
    name: str


async def open_source(
    platform: Platform, project: str, text: str, param: str, *, anywhere: bool = False
) -> Source:
    """
    Args:
        text: the id of a stored file, or where `anywhere` is set what `_RIGHT` says.

    Raises:
        InvalidRequest: it names nothing, or what may not be named, is empty or too large.
    """
    if _ID.fullmatch(text):
        return await _stored(platform, project, text, param)
    if not anywhere:
        raise UnsupportedParameter(
            f"{param} must be the id of a stored file, not {shown(text)[:140]!r}: upload it first",
            param=param,
        )
    if text.lower().startswith(_WEB):
        return _fetched(platform, text, param)
    named = paths.parse(text, param, _RIGHT)
    known = paths.allowed(platform.settings)
    if named.kind == "s3":
        paths.check_address(named.value, known, param)
        size, _ = await objects.beginning(named.value, 1, param)
        pieces = _read(objects.read(named.value, 0, param), named.value, param)
    elif named.kind == "path":
        spot = await in_thread(lambda: paths.input_spot(named.value, known, param))
        size, _ = await in_thread(lambda: disk.beginning(spot, 0, param))
        pieces = disk.read(spot, 0, param)
    else:
        raise InvalidRequest(f"{param} must be {_RIGHT}, not {text[:140]!r}", param=param)
    if size > platform.settings.max_file:
        raise InvalidRequest(
            f"{param}: {text[:200]} has {size} bytes, and at most {platform.settings.max_file} are read here",
            param=param,
        )
    return Source(pieces, posixpath.basename(named.value))


def shown(text: str) -> str:
    """The same for people, to be kept: without the query of an address, which often is a key."""
    return text.partition("?")[0].partition("#")[0] if text.lower().startswith(_WEB) else text


def taken(text: str) -> str:
    """As `JobRow.input` has it."""
    return f"file:{text}" if _ID.fullmatch(text) else shown(text)


async def _stored(platform: Platform, project: str, identity: str, param: str) -> Source:
    try:
        file = await files.get(platform, project, identity)
    except NotFound as error:
        raise InvalidRequest(f"{param}: {error.message}", param=param, code=error.code) from None
    return Source(files.content(platform, file), file.filename)


def _fetched(platform: Platform, url: str, param: str) -> Source:
    # Takes a tenth of a second to import, which a start of the server must not pay.
    from paddock.services import fetching

    pieces = fetching.fetch(url, param, fetching.limits(platform.settings))
    try:
        name = posixpath.basename(unquote(urlsplit(url).path))
    except ValueError:
        name = ""  # No address at all: fetching it says so.
    return Source(pieces, name)


async def _read(pieces: AsyncGenerator[bytes, None], address: str, param: str) -> AsyncGenerator[bytes, None]:
    """An object that goes, or cannot be had, while it is read is the caller's to know of."""
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                yield piece
        except (NotFound, StorageFailed) as error:
            raise InvalidRequest(
                f"{param}: {address} cannot be read: {error.message}", param=param
            ) from error
