"""Files in OpenAI's shapes, as its API reference has them."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import quote

import orjson

from paddock.errors import InvalidRequest
from paddock.gateway import download, uploads
from paddock.gateway.app import ANY_KEY, Route
from paddock.gateway.head import new_headers
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.query import number
from paddock.schemas.files import File
from paddock.services import files
from paddock.services.platform import Platform

JSON = dict[str, Any]
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
MADE_HERE = ("batch_output",)
"""Purposes of files that nobody uploads."""
PAGE = 10_000
_ORDERS = ("desc", "asc")
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_SHORTEST, _LONGEST = 3600, 30 * 24 * 3600
_PLAIN = re.compile(r"[ \w.,;()+=-]", re.ASCII)
_LISTED = {
    "purpose": "only files of this purpose",
    "limit": f"1 to {PAGE}, by default {PAGE}",
    "order": "asc or desc by the time of creation, by default desc",
    "after": "only files after the one of this id",
}


def file_routes(platform: Platform) -> list[Route]:
    async def create(request: Request) -> Response:
        return await _create(platform, request)

    async def list_page(request: Request) -> Response:
        return await _list_page(platform, request)

    async def get(request: Request) -> Response:
        return Response(
            orjson.dumps(_view(await files.get(platform, request.project, request.params["file"])))
        )

    async def delete(request: Request) -> Response:
        identity = request.params["file"]
        await files.delete(platform, request.project, identity)
        return Response(orjson.dumps({"id": identity, "object": "file", "deleted": True}))

    async def content(request: Request) -> None:
        file = await files.get(platform, request.project, request.params["file"])
        await download.send(
            request,
            files.content(platform, file),
            content_type="application/octet-stream",
            length=file.bytes,
            headers=_saved_as(file.filename),
        )

    one = "/files/{file}"
    return [
        Route(
            "POST",
            "/files",
            create,
            "Store a file: a form with file, purpose and, if it is not for ever, expires_after.",
            ANY_KEY,
            receives=True,
        ),
        Route("GET", "/files", list_page, "The stored files.", query=_LISTED),
        Route("GET", one, get, "One stored file."),
        Route("DELETE", one, delete, "Remove a stored file.", ANY_KEY),
        Route("GET", one + "/content", content, "The bytes of a stored file."),
    ]


async def _create(platform: Platform, request: Request) -> Response:
    fields = {"purpose": _purpose, _ANCHOR: _anchor, _SECONDS: _seconds}
    upload = await uploads.receive(request, platform, fields, required=("purpose",))
    given = [name for name in (_ANCHOR, _SECONDS) if name in upload.fields]
    if len(given) == 1:
        await upload.received.discard()
        raise InvalidRequest(
            f"{_ANCHOR} and {_SECONDS} must be given together, or neither", param="expires_after"
        )
    expires_at = time.time() + upload.fields[_SECONDS] if given else None
    kept = await files.keep(
        platform, request.project, upload.received, upload.filename, upload.fields["purpose"], expires_at
    )
    return Response(orjson.dumps(_view(kept)))


async def _list_page(platform: Platform, request: Request) -> Response:
    values = query_values(request, _LISTED)
    purpose, order = values.get("purpose"), values.get("order", "desc")
    if purpose is not None and purpose not in PURPOSES + MADE_HERE:
        raise _one_of("purpose", PURPOSES + MADE_HERE, purpose)
    if order not in _ORDERS:
        raise _one_of("order", _ORDERS, order)
    found, more = await files.list_page(
        platform,
        request.project,
        purpose=purpose,
        limit=number(values, "limit", PAGE, least=1, most=PAGE),
        after=values.get("after"),
        newest_first=order == "desc",
    )
    page = {
        "object": "list",
        "data": [_view(file) for file in found],
        "first_id": found[0].id if found else None,
        "last_id": found[-1].id if found else None,
        "has_more": more,
    }
    return Response(orjson.dumps(page))


def _view(file: File) -> JSON:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": None if file.expires_at is None else int(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def _purpose(text: str) -> str:
    if text not in PURPOSES:
        raise _one_of("purpose", PURPOSES, text)
    return text


def _anchor(text: str) -> str:
    if text != "created_at":
        raise _one_of(_ANCHOR, ("created_at",), text)
    return text


def _seconds(text: str) -> int:
    return number({_SECONDS: text}, _SECONDS, 0, least=_SHORTEST, most=_LONGEST)


def _one_of(name: str, right: tuple[str, ...], wrong: str) -> InvalidRequest:
    phrase = f"one of {', '.join(right)}" if len(right) > 1 else right[0]
    return InvalidRequest(f"{name} must be {phrase}, not {wrong[:40]!r}", param=name)


def _saved_as(filename: str) -> bytes:
    """For a browser: to be saved, never shown as a page of ours. RFC 6266 has both forms of the name."""
    plain = "".join(one if _PLAIN.fullmatch(one) else "_" for one in filename)
    named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
    return new_headers(("content-disposition", named), ("x-content-type-options", "nosniff"))
