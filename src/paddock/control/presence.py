"""Tells at once that a process of this machine is gone, where a lease would have to run out first.

Each process keeps a folder with a locked file below the data folder. The kernel lets go of the lock however
the process ends; the next one that starts clears the folder away.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path

_LOCK = "lock"


class Presence:
    """
    Attributes:
        identity: unique among all processes that share a store.
        folder: this process's own, for as long as it lives.

    Raises:
        OSError: the data folder cannot be written.
    """

    def __init__(self, data_dir: Path) -> None:
        self._all = data_dir / "run"
        self._gone: set[str] = set()
        self.identity = f"{os.uname().nodename}-{secrets.token_hex(6)}"
        self.folder = self._all / self.identity
        self.folder.mkdir(parents=True)
        self._file = (self.folder / _LOCK).open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        for folder in self._all.iterdir():
            self.is_gone(folder.name)

    def is_gone(self, identity: str) -> bool:
        """True only if it is certain: of a process of another machine nothing is known here."""
        folder = self._all / Path(identity).name
        try:
            with (folder / _LOCK).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._gone.add(identity)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass
        return identity in self._gone

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._file.close()
