"""What is in a file, without reading gigabytes at each start."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

NOTES = "fingerprints.json"
# A file changed twice within the clock's grain looks unchanged, so a hash is noted only once the file has
# rested.
REST_NS = 2_000_000_000
# Reading this much is faster than anybody can notice.
SMALL = 1024 * 1024


def fingerprint_file(file: Path, notes_folder: Path) -> str:
    """The SHA-256 of the file's content in hexadecimal.

    For a large file it is remembered in `notes_folder` with the file's path, size, time of change and inode,
    and believed as long as those stay.
    """
    status = file.stat()
    if status.st_size <= SMALL:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    path, mark = str(file.resolve()), [status.st_size, status.st_mtime_ns, status.st_ino]
    note = _read(notes_folder / NOTES).get(path)
    if isinstance(note, list) and note[:-1] == mark:
        return str(note[-1])
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if time.time_ns() - status.st_mtime_ns > REST_NS:
        _write(notes_folder / NOTES, path, [*mark, digest])
    return digest


def _read(path: Path) -> dict[str, object]:
    try:
        notes = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _write(path: Path, key: str, note: list[object]) -> None:
    """Two processes at once may lose one of two notes: then a file is read once more."""
    notes = {**_read(path), key: note}
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w") as stream:
            json.dump(notes, stream)
        Path(temporary).replace(path)
