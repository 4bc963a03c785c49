"""When what happened to the request that is being answered, for its trace.

Noted only while somebody wants it: otherwise `steps` is None, and to ask is all that it costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from paddock.errors import PaddockError

QUEUE, WAKE, ENGINE = "queue", "wake", "engine"


@dataclass(slots=True)
class Step:
    """Times are of `time.perf_counter()`.

    Attributes:
        name: `queue` (a replica, or a turn on one, was waited for), `wake` (one had to be started) or
            `engine` (one was asked).
        replica: which one was asked.
        first: when the first of a stream came; 0.0 if nothing was streamed.
        error: the code of what ended it; empty if all went well.
    """

    name: str
    began: float
    ended: float = 0.0
    replica: str = ""
    first: float = 0.0
    error: str = ""


steps: ContextVar[list[Step] | None] = ContextVar("steps", default=None)
"""Those of the request whose task asks; tasks that it starts note theirs there too."""


@contextlib.contextmanager
def step(noted: list[Step], name: str, replica: str = "") -> Iterator[Step]:
    """Notes what happens inside the block as one step."""
    one = Step(name, time.perf_counter(), replica=replica)
    noted.append(one)
    try:
        yield one
    except PaddockError as error:
        one.error = error.code
        raise
    except asyncio.CancelledError:
        one.error = "aborted"
        raise
    except Exception as error:
        one.error = type(error).__name__
        raise
    finally:
        one.ended = time.perf_counter()


def queued(since: float) -> None:
    """A wait that is over now."""
    noted = steps.get()
    if noted is not None:
        noted.append(Step(QUEUE, since, time.perf_counter()))
