"""Files in this dialect's shapes, where a file is a text: its size is in characters, its content a string.

The files are those of all dialects; what is no text was stored through another one.
"""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson

from paddock.errors import InvalidRequest
from paddock.gateway import download, uploads
from paddock.gateway.app import ANY_KEY, Route
from paddock.gateway.http import Request, Response
from paddock.schemas.files import File
from paddock.services import files
from paddock.services.platform import Platform

JSON = dict[str, Any]
PURPOSE = "user_data"


def file_routes(platform: Platform) -> list[Route]:
    async def upload(request: Request) -> Response:
        return await _upload(platform, request)

    async def list_all(request: Request) -> Response:
        found = await files.list_all(platform, request.project)
        return Response(orjson.dumps({"files": [_view(file) for file in found]}))

    async def get(request: Request) -> Response:
        return Response(
            orjson.dumps(_view(await files.get(platform, request.project, request.params["file"])))
        )

    async def delete(request: Request) -> Response:
        await files.delete(platform, request.project, request.params["file"])
        return Response(b'{"deleted":true}')

    async def content(request: Request) -> None:
        await _content(platform, request)

    one = "/v1/files/{file}"
    return [
        Route(
            "POST", "/v1/files", upload, "Store a text: a form with a part `file`.", ANY_KEY, receives=True
        ),
        Route("GET", "/v1/files", list_all, "The stored files."),
        Route("GET", one, get, "One stored file."),
        Route("DELETE", one, delete, "Remove a stored file.", ANY_KEY),
        Route("GET", one + "/content", content, "The text of a stored file."),
    ]


async def _upload(platform: Platform, request: Request) -> Response:
    form = await uploads.receive(request, platform, {})
    if form.received.characters is None:
        await form.received.discard()
        raise InvalidRequest(
            "file must be text in UTF-8; any other file can be stored through POST /v1/files", param="file"
        )
    kept = await files.keep(platform, request.project, form.received, form.filename, PURPOSE)
    return Response(orjson.dumps({"id": kept.id}))


async def _content(platform: Platform, request: Request) -> None:
    file = await files.get(platform, request.project, request.params["file"])
    if file.characters is None:
        raise InvalidRequest(
            f"file {file.id} is not text in UTF-8; its bytes are at GET /v1/files/{file.id}/content"
        )
    text = _as_json(file, files.content(platform, file))
    await download.send(request, text, content_type="application/json")


async def _as_json(file: File, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """`{"id": …, "content": …}`, escaped piece by piece. Nothing comes before the first piece was read."""
    begun = orjson.dumps({"id": file.id, "content": ""})[:-2]
    # Pieces end in the middle of characters.
    decoder = codecs.getincrementaldecoder("utf-8")()
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            # An empty piece would end a chunked answer.
            if escaped := begun + orjson.dumps(decoder.decode(piece))[1:-1]:
                yield escaped
            begun = b""
    yield begun + b'"}'


def _view(file: File) -> JSON:
    """Where there are no characters to count, the size is in bytes."""
    size = file.bytes if file.characters is None else file.characters
    return {"id": file.id, "filename": file.filename, "size": size}
