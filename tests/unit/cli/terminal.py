"""A command at a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time


class Terminal:
    """A `paddock` process at a terminal of its own.

    Attributes:
        seen: what was written and not waited for yet.
    """

    def __init__(self, *arguments: str, term: str = "dumb") -> None:
        self._fd, theirs = pty.openpty()
        environment = {**os.environ, "TERM": term, "PYTHONWARNINGS": "error", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "paddock", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, text: str) -> str:
        """What came up to and including `text`, which is a regular expression."""
        while not (match := re.search(text, self.seen)):
            assert select.select([self._fd], [], [], 15)[0], f"waited for {text} after {self.seen}"
            try:
                self.seen += os.read(self._fd, 4096).decode()
            except OSError as error:  # Linux says EIO when the process is gone
                raise AssertionError(self.seen) from error
        before, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return before

    def interrupt(self) -> None:
        """Ctrl-C, as a person would: not in the very moment in which the prompt appeared.

        A signal between readline's writing the prompt and its waiting for input is seen at the next key.
        """
        time.sleep(0.4)
        self.process.send_signal(signal.SIGINT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)
