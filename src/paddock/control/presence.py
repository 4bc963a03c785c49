"""Tells at once that a process of this machine is gone, where a lease would have to run out first.

Each process keeps a locked file in the data folder. The kernel lets go of the lock however the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path


class Presence:
    """
    Attributes:
        identity: unique among all processes that share a store.

    Raises:
        OSError: the data folder cannot be written.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "run"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.identity = f"{os.uname().nodename}-{secrets.token_hex(6)}"
        self._file = self._path(self.identity).open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def is_gone(self, identity: str) -> bool:
        """True only if it is certain; a process of another machine has no file here."""
        try:
            with self._path(identity).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._path(identity).unlink(missing_ok=True)
                return True
        except OSError:
            return False

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._path(self.identity).unlink(missing_ok=True)
        self._file.close()

    def _path(self, identity: str) -> Path:
        return self._folder / f"{Path(identity).name}.lock"
