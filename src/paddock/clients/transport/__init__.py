"""What every client sends its requests through: retries, timeouts, streams, files, connections kept open.

`AsyncTransport` is written by hand; `Transport` is generated from it by `tools/unasync.py`.
Both are imported at their first use: httpx2 and asyncio cost more time than all the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from paddock.clients.transport.calls import Call, Failure
from paddock.clients.transport.errors import ApiError
from paddock.clients.transport.retries import Retry

if TYPE_CHECKING:
    from paddock.clients.transport._async.transport import AsyncTransport
    from paddock.clients.transport._sync.transport import Transport
    from paddock.clients.transport.uploads import Upload

__all__ = ["ApiError", "AsyncTransport", "Call", "Failure", "Retry", "Transport", "Upload"]

_LATE = {"AsyncTransport": "_async.transport", "Transport": "_sync.transport", "Upload": "uploads"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value
