"""What the process says: one JSON object a line, on the stdout that it was started with and nothing else."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import IO

from paddock.schemas.training import Done, Said

_EAGER_STEPS = 20
_INTERVAL = 0.25


class Reporter:
    """Takes stdout for itself: from here on what others print there goes to stderr."""

    def __init__(self) -> None:
        self._stream = take_stdout()
        self._status = 1
        self._lock = threading.Lock()
        threading.Thread(target=self._end_with_the_reader, daemon=True).start()

    def say(self, said: Said) -> None:
        """From any thread.

        Raises:
            BrokenPipeError: nobody listens any more.
        """
        with self._lock:
            # Who has read `done` may stop listening.
            self._status = 0 if isinstance(said, Done) else 1
            self._stream.write(said.model_dump_json() + "\n")
            self._stream.flush()

    def _end_with_the_reader(self) -> None:
        """Ends the process when the reader of the pipe has gone, also in the middle of a long step."""
        poll = select.poll()
        # Errors and hang-ups are reported whatever is asked for.
        poll.register(self._stream.fileno(), 0)
        poll.poll()
        os._exit(self._status)


class Pace:
    """When a step is worth a line: each one at first, then a few times a second."""

    def __init__(self) -> None:
        self._steps = 0
        self._said = 0.0

    def due(self) -> bool:
        self._steps += 1
        now = time.monotonic()
        if self._steps > _EAGER_STEPS and now - self._said < _INTERVAL:
            return False
        self._said = now
        return True


def take_stdout() -> IO[str]:
    """What was stdout; from here on that is stderr."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(own, "w", encoding="utf-8")
