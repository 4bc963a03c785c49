"""Objects of S3-compatible storage as a batch's input or output."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from paddock.errors import (
    InvalidRequest,
    JobFailed,
    NotFound,
    StartupError,
    StorageFailed,
    UnsupportedParameter,
)
from paddock.services.paths import S3

if TYPE_CHECKING:
    from paddock.store.blobs.s3 import S3Blobs


async def beginning(address: str, most: int, param: str) -> tuple[int, bytes]:
    """(size, about `most` of its first bytes) of an input.

    Raises:
        InvalidRequest: it is not there, or cannot be read.
    """
    blobs, key = _open(address, param)
    found = bytearray()
    try:
        size = await blobs.size(key)
        async with aclosing(blobs.read(key)) as pieces:
            async for piece in pieces:
                found += piece
                if len(found) >= most:
                    break
    except NotFound:
        raise InvalidRequest(f"{param}: there is no object {address}", param=param) from None
    except StorageFailed as error:
        raise InvalidRequest(f"{param}: {address} cannot be read: {error.message}", param=param) from None
    return size, bytes(found)


def read(address: str, offset: int, param: str) -> AsyncGenerator[bytes, None]:
    """The bytes from `offset` on.

    Raises:
        NotFound: it is not there any more; with the first piece.
        StorageFailed: the storage cannot be reached, or refuses.
    """
    blobs, key = _open(address, param)
    return blobs.read(key, offset)


async def probe(address: str, param: str) -> None:
    """Finds out whether an output can be written.

    Raises:
        InvalidRequest: there is an object of this address, or none can be made.
    """
    blobs, key = _open(address, param)
    try:
        if await _is_there(blobs, key):
            raise InvalidRequest(
                f"{param}: {address} exists; choose another", param=param, code="output_exists"
            )
        beside = f"{key}.{secrets.token_hex(4)}.probe"
        writer = await blobs.writer(beside)
        try:
            await writer.write(b"can this be written?\n")
            await writer.commit()
        finally:
            await writer.abort()
        await blobs.delete(beside)
    except StorageFailed as error:
        raise InvalidRequest(
            f"{param}: {address} cannot be written: {error.message}", param=param, code="output_not_writable"
        ) from None


async def write(address: str, pieces: AsyncIterator[bytes], param: str) -> None:
    """Writes an output, which nobody sees before it is whole. What is there already stays: an output of the
    same bytes is that of an earlier attempt.

    Raises:
        JobFailed: there is another object of this address meanwhile.
        StorageFailed: the storage cannot be reached, or refuses.
    """
    blobs, key = _open(address, param)
    if await _is_there(blobs, key):
        if await _digest(pieces) != await _digest(blobs.read(key)):
            raise JobFailed(f"{param}: {address} was made meanwhile")
        return
    writer = await blobs.writer(key)
    try:
        async for piece in pieces:
            await writer.write(piece)
        await writer.commit()
    finally:
        await writer.abort()


def _open(address: str, param: str) -> tuple[S3Blobs, str]:
    bucket, _, key = address.removeprefix(S3).partition("/")
    try:
        # What speaks S3 is an extra that only those install who use it.
        from paddock.store.blobs.s3 import S3Blobs

        return S3Blobs(S3 + bucket), key
    except ImportError:
        raise UnsupportedParameter(
            f"{param}: this server does not speak S3; its operator adds that with pip install 'paddock[s3]'",
            param=param,
        ) from None
    except StartupError as error:
        raise InvalidRequest(f"{param}: {address} cannot be reached: {error.message}", param=param) from None


async def _is_there(blobs: S3Blobs, key: str) -> bool:
    try:
        await blobs.size(key)
    except NotFound:
        return False
    return True


async def _digest(pieces: AsyncIterator[bytes]) -> bytes:
    found = hashlib.sha256()
    async for piece in pieces:
        found.update(piece)
    return found.digest()
