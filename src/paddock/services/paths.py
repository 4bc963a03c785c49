"""What callers may name of the server's disk and of S3, for batches and fine-tunes: no job is a way to read
what is not theirs.

Nothing here is told of what lies outside the folders that the operator allowed, not even whether it exists.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from paddock.errors import InvalidRequest
from paddock.services.exposure import is_personal
from paddock.services.files import check_name
from paddock.settings import Settings

FILE_ID = re.compile(r"file-[0-9a-f]{24}")
S3 = "s3://"
_FILE = "file://"
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST_KEY = 900
"""Bytes of an object's key, of which S3 takes 1,024: a name is made from it too."""
_LONGEST_NAME = 200
"""Bytes of a file's name, of which most disks take 255: a hidden name is made from it too."""
_LONGEST_PATH = 4000
_RIGHT = (
    "the id of a stored file, a name without a slash, an absolute path or file:// below a folder that the"
    " operator allowed, or s3://BUCKET/KEY"
)


@dataclass(frozen=True)
class Named:
    """What a text names.

    Attributes:
        value: an id, a name, an absolute path, or an `s3://` address.
    """

    kind: Literal["id", "name", "path", "s3"]
    value: str


@dataclass(frozen=True)
class Allowed:
    """What the operator lets callers name.

    Attributes:
        folders, addresses: the parts of `allow_path`: folders, and `s3://BUCKET` or `s3://BUCKET/PREFIX`.
            Addresses are None if any may be named.
        data_dir, blobs: where the server itself keeps what nobody may name.
    """

    folders: tuple[Path, ...]
    addresses: tuple[str, ...] | None
    data_dir: Path
    blobs: str | None


@dataclass(frozen=True)
class Spot:
    """A file below an allowed folder.

    Attributes:
        root: the folder's real path.
        parts: the way from there, without symlinks; the last one is the file's name.
    """

    root: str
    parts: tuple[str, ...]

    @property
    def path(self) -> str:
        return os.path.join(self.root, *self.parts)

    @property
    def folder(self) -> str:
        return os.path.join(self.root, *self.parts[:-1])

    @property
    def name(self) -> str:
        return self.parts[-1]


def allowed(settings: Settings) -> Allowed:
    """Folders only by `allow_path`: that a server listens on loopback opens none. Without it any addresses,
    if only users of this machine ask."""
    parts = split_allowed(settings.allow_path or "")
    addresses = tuple(part.rstrip("/") for part in parts if part.startswith(S3))
    return Allowed(
        folders=tuple(Path(part).expanduser() for part in parts if not part.startswith(S3)),
        addresses=addresses or (None if is_personal(settings) else ()),
        data_dir=settings.data_dir,
        blobs=settings.blobs.rstrip("/") if settings.blobs else None,
    )


def split_allowed(text: str) -> list[str]:
    """The entries of `allow_path`, which `:` separates; that of an `s3://` separates nothing."""
    return [part for part in re.split(rf"(?<!s3){os.pathsep}|{os.pathsep}(?!//)", text) if part]


def parse(text: str, param: str, right: str = _RIGHT) -> Named:
    """
    Args:
        right: what the parameter takes, for who gave something else.

    Raises:
        InvalidRequest: it names nothing that could be read or written.
    """
    if not text or "\0" in text or not _is_text(text) or len(text) > _LONGEST_PATH:
        raise _must(text, param, right)
    if FILE_ID.fullmatch(text):
        return Named("id", text)
    if text.startswith(S3):
        return Named("s3", _address(text, param))
    if text.startswith(_FILE):
        return Named("path", _from_url(text, param))
    if text.startswith("/"):
        return Named("path", text)
    if "/" in text or text.startswith("~") or text in (".", ".."):
        raise _must(text, param, right)
    return Named("name", check_name(text, param))


def input_spot(path: str, known: Allowed, param: str) -> Spot:
    """Where an input lies, behind every symlink. Looks at the disk.

    Args:
        path: absolute.

    Raises:
        InvalidRequest: no folder that the operator allowed has it.
    """
    return _spot(os.path.realpath(path), path, known, param)


def output_spot(path: str, known: Allowed, param: str) -> Spot:
    """Where an output will lie: in its folder behind every symlink, under its own name. Looks at the disk.

    Raises:
        InvalidRequest: as `input_spot`, or it has no name of its own.
    """
    folder, name = os.path.split(path)
    spot = _spot(os.path.join(os.path.realpath(folder), name), path, known, param)
    if name in ("", ".", ".."):
        raise InvalidRequest(f"{param} must end with the name of a file, not {path[-60:]!r}", param=param)
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise InvalidRequest(f"{param}: the file's name has more than {_LONGEST_NAME} bytes", param=param)
    return spot


def check_address(address: str, known: Allowed, param: str) -> None:
    """
    Args:
        address: as `parse` gives it.

    Raises:
        InvalidRequest: it is the server's own storage, or not below what the operator allowed.
    """
    if known.blobs is not None and (_is_below(address, known.blobs) or _is_below(known.blobs, address)):
        raise _forbidden(f"{address[:200]!r} may not be named", known, param)
    if known.addresses is not None and not any(_is_below(address, one) for one in known.addresses):
        raise _forbidden(f"{address[:200]!r} may not be named", known, param)


def _spot(real: str, path: str, known: Allowed, param: str) -> Spot:
    data_dir = os.path.realpath(known.data_dir)
    for folder in known.folders:
        root = os.path.realpath(folder)
        if real == root or not _is_below(real, root):
            continue
        # Of the data folder only what was allowed by its own name may be read: it holds everybody's files.
        if _is_below(real, data_dir) and (root == data_dir or not _is_below(root, data_dir)):
            continue
        return Spot(root, tuple(os.path.relpath(real, root).split(os.sep)))
    raise _forbidden(f"the path {path[:200]!r} may not be named", known, param)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _address(text: str, param: str) -> str:
    bucket, _, key = text.removeprefix(S3).partition("/")
    words = key.split("/")
    if (
        not _BUCKET.fullmatch(bucket)
        or any(word in ("", ".", "..") for word in words)
        or len(key.encode()) > _LONGEST_KEY
        or not key.isprintable()
    ):
        raise InvalidRequest(
            f"{param} must be s3://BUCKET/KEY, whose key has no empty part and at most {_LONGEST_KEY} bytes,"
            f" not {text[:200]!r}",
            param=param,
        )
    return text


def _from_url(text: str, param: str) -> str:
    path = unquote(text.removeprefix(_FILE).removeprefix("localhost"), errors="strict")
    if not path.startswith("/") or "\0" in path:
        raise InvalidRequest(
            f"{param}: file:// must be followed by an absolute path, as in file:///data/prompts.json, not"
            f" {text[:200]!r}",
            param=param,
        )
    return path


def _is_text(text: str) -> bool:
    try:
        text.encode()
        unquote(text, errors="strict")
    except UnicodeError:
        return False
    return True


def _must(text: str, param: str, right: str) -> InvalidRequest:
    scheme = _SCHEME.match(text)
    of = f"; {scheme[0]} addresses are not read or written here" if scheme else ""
    return InvalidRequest(f"{param} must be {right}, not {text[:200]!r}{of}", param=param)


def _forbidden(what: str, known: Allowed, param: str) -> InvalidRequest:
    below = [*map(str, known.folders), *(known.addresses or ())]
    place = "an s3:// address" if S3 in what else "a folder"
    said = f": here may be named what lies below {', '.join(below)}" if below else ""
    return InvalidRequest(
        f"{param}: {what}{said}; the operator allows {place} with --allow-path",
        param=param,
        code="path_not_allowed",
    )
