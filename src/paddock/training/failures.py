"""What an exception means to the person whose fine-tune it ended."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from paddock.errors import JobFailed
from paddock.schemas.training import Failed

_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
_DISK = ("No space left on device", "Disk quota exceeded")


def failed(error: BaseException) -> Failed:
    """The last thing that is said about `error`."""
    if out_of_memory(error):
        return Failed(
            code="out_of_memory",
            message="the memory is not enough: take a smaller batch_size or max_length, or a larger"
            f" accumulation, which splits each step into smaller parts ({_first_line(error)})",
        )
    if disk_full(error):
        return Failed(
            code="disk_full",
            message=f"the disk is full: free some space and start it again ({_first_line(error)})",
        )
    if isinstance(error, JobFailed):
        return Failed(code=error.code, message=error.message)
    return Failed(code="internal", message=f"{type(error).__name__}: {error}")


def out_of_memory(error: BaseException) -> bool:
    return any(
        isinstance(each, MemoryError)
        or type(each).__name__ == "OutOfMemoryError"
        or (isinstance(each, RuntimeError) and any(phrase in str(each) for phrase in _MEMORY))
        for each in _chain(error)
    )


def disk_full(error: BaseException) -> bool:
    return any(
        (isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT))
        # The writer of safetensors has an error class of its own, without the number.
        or any(phrase in str(each) for phrase in _DISK)
        for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
