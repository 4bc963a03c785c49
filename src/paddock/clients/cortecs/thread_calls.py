"""Calls that must not be left half done, on a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable


def undisturbed(call: Callable[[], None]) -> None:
    """Runs `call` to its end; a Ctrl-C that comes meanwhile takes effect after it."""
    # Signals reach the main thread only, so on one of its own the call does not notice.
    failed: list[BaseException] = []
    begun, done = threading.Lock(), threading.Event()

    def run() -> None:
        if not begun.acquire(blocking=False):
            return
        try:
            call()
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    interrupted: BaseException | None = None
    while not done.is_set():
        try:
            # A Ctrl-C within `start` leaves open whether there is a thread: the first of them does it.
            if not begun.locked():
                threading.Thread(target=run, name="paddock-undisturbed").start()
            done.wait()
        except RuntimeError:
            if not begun.locked():
                raise  # No thread can be had.
        except BaseException as error:
            interrupted = error
    cause = failed[0] if failed else None
    if interrupted is not None:
        raise interrupted from cause
    if cause is not None:
        raise cause
