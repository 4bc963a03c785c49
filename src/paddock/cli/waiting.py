"""Going on with a server that is away for a while: it restarts, and keeps what it has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from paddock.errors import PaddockError, RateLimited, Unavailable

T = TypeVar("T")
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 5.0
_AWAY = ("connection", "timeout")
"""Failures of the transport that a server which comes back heals."""


def patiently(ask: Callable[[], T], say: Callable[[str], None]) -> T:
    """What `ask` gives, asked again for as long as the server is away or refuses for a time.

    Args:
        ask: may be called several times.
        say: is told when the waiting begins, and when it is over.

    Raises:
        PaddockError: the server answered, with an error that does not pass by itself.
    """
    seconds, said = FIRST_SECONDS, ""
    while True:
        try:
            result = ask()
        except PaddockError as error:
            if not passes(error):
                raise
            why = "the server is away" if error.code in _AWAY else error.message
            if why != said:
                say(f"{why}; waiting until it answers again")
                said = why
            time.sleep(max(seconds, min(error.retry_after or 0.0, LONGEST_SECONDS)))
            seconds = min(seconds * 2, LONGEST_SECONDS)
            continue
        if said:
            say("the server answers again")
        return result


def passes(error: PaddockError) -> bool:
    """Whether the same may succeed later."""
    return error.code in _AWAY or isinstance(error, Unavailable | RateLimited)
