"""Calls that must not be left half done, on a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable


def undisturbed(call: Callable[[], None]) -> None:
    """Runs `call` to its end; a Ctrl-C that comes meanwhile takes effect after it."""
    # Signals reach the main thread only, so on one of its own the call does not notice.
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            call()
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="paddock-undisturbed").start()
    interrupted: BaseException | None = None
    while not done.is_set():
        try:
            done.wait()
        except BaseException as error:
            interrupted = error
    cause = failed[0] if failed else None
    if interrupted is not None:
        raise interrupted from cause
    if cause is not None:
        raise cause
