"""Reads a file in worker threads, a piece at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import FileIO

from paddock.store.blobs.blobs import PIECE


class Reader:
    """A cancelled read goes on in its thread; the lock makes `close` wait for its end. Both block.

    Args:
        open: opens the file, with the first read.
        offset: where reading begins, in bytes.
    """

    def __init__(self, open: Callable[[], FileIO], offset: int) -> None:
        self._open = open
        self._offset = offset
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._over = False

    def read(self) -> bytes:
        """The next piece; nothing at the end.

        Raises:
            OSError: the disk does not give it. And whatever `open` does.
        """
        with self._lock:
            if self._over:
                return b""
            if self._file is None:
                self._file = self._open()
                self._file.seek(self._offset)
            return self._file.read(PIECE) or b""

    def close(self) -> None:
        with self._lock:
            self._over = True
            if self._file is not None:
                self._file.close()
