"""Forms that bring a file: the file goes to the store while it comes, the fields beside it are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paddock.errors import BodyTooLarge, InvalidRequest
from paddock.gateway import multipart
from paddock.gateway.http import Request
from paddock.gateway.multipart import Part
from paddock.services import files
from paddock.services.files import Received
from paddock.services.platform import Platform

FILE = "file"
REST = 2**20
"""Bytes of a form beside its file."""

Field = Callable[[str], Any]
"""Makes the value of a field from its text, or raises `InvalidRequest`."""


@dataclass(frozen=True)
class Upload:
    """
    Attributes:
        received: to be kept or discarded by who asked.
        filename: checked.
        fields: those that were given.
    """

    received: Received
    filename: str
    fields: dict[str, Any]


async def receive(
    request: Request, platform: Platform, fields: Mapping[str, Field], required: tuple[str, ...] = ()
) -> Upload:
    """The file in the form's part `file` and the fields, which may come before or after it.

    Raises:
        InvalidRequest: it is no such form, or a field is missing, given twice, unknown or wrong. Nothing is
            left of the file.
        BodyTooLarge: the file is larger than the setting `max_file`.
        StorageFailed: it cannot be written.
    """
    received: Received | None = None
    filename, values = "", dict[str, Any]()
    try:
        async for part in multipart.parts(request, platform.settings.max_file + REST):
            if part.name == FILE:
                if received is not None:
                    raise _twice(FILE)
                filename = _filename(part)
                received = await files.receive(platform, part.pieces())
            elif part.name in values:
                raise _twice(part.name)
            else:
                values[part.name] = _known(part, fields)(await part.text())
        if received is None:
            raise InvalidRequest("file is required: a part of the form with a filename", param=FILE)
        for name in required:
            if name not in values:
                raise InvalidRequest(f"{name} is required", param=name, code="missing_field")
    except BaseException as error:
        if received is not None:
            await received.discard()
        if isinstance(error, BodyTooLarge):
            raise BodyTooLarge(
                f"the file is larger than {platform.settings.max_file} bytes, the most that is taken here",
                param=FILE,
            ) from None
        raise
    return Upload(received, filename, values)


def _filename(part: Part) -> str:
    if part.filename is None:
        raise InvalidRequest(
            'file must be a file: its part must have a filename, as in name="file"; filename="rows.jsonl"',
            param=FILE,
        )
    return files.check_name(part.filename)


def _known(part: Part, fields: Mapping[str, Field]) -> Field:
    found = fields.get(part.name)
    if found is None:
        names = ", ".join((FILE, *fields))
        raise InvalidRequest(
            f"form field {part.name[:40]!r} is not known here; known are: {names}",
            param=part.name[:40],
            code="unknown_field",
        )
    return found


def _twice(name: str) -> InvalidRequest:
    return InvalidRequest(f"form field {name!r} is given twice", param=name)
