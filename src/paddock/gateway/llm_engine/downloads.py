"""Where to download a fine-tuned model: addresses that work for a while, without a key."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import orjson
from pydantic import TypeAdapter

from paddock.errors import InvalidRequest, NotFound, UnsupportedParameter
from paddock.gateway import download
from paddock.gateway.address import server_address
from paddock.gateway.app import ANY_KEY, PUBLIC, Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.llm_engine.batch_wish import refuse_unknown
from paddock.gateway.validate import parse_whole
from paddock.gateway.visible import require
from paddock.schemas.llm_engine.finetunes import ModelDownloadRequest
from paddock.services import adapters, tuned_models
from paddock.services.adapters import Adapter
from paddock.services.blob_files import StoredFile
from paddock.services.merging import Merger, merged_files
from paddock.services.platform import Platform
from paddock.services.signing import Signer
from paddock.services.tuned_models import TunedModel

Made = Adapter | TunedModel
LASTS = 3600
"""Seconds for which an address works."""
HUGGING_FACE, MERGED, GGUF = "hugging_face", "merged", "gguf"
_DOWNLOAD = TypeAdapter(ModelDownloadRequest)
_GGUF_FILE = "adapter.gguf"
_PATH = "/v1/llm/downloads/{adapter}/{file}"
_QUERY = {
    "project": "Whose it is.",
    "expires": "When it stops working, in seconds since 1970.",
    "signature": "Over all the rest.",
}


def download_routes(platform: Platform, prefix: str) -> list[Route]:
    """
    Args:
        prefix: of this dialect's routes.
    """
    signer, merger = Signer(platform), Merger(platform)
    settings = platform.settings

    async def ask(request: Request) -> Response:
        asked = parse_whole(_DOWNLOAD, request.body)
        refuse_unknown(asked, of="downloads")
        found = await _find(platform, request.project, asked.model_name)
        require(request.key, found.name)
        expires_at = int(time.time()) + LASTS
        host = server_address(settings.public_url, request.headers, settings.host, settings.port)
        urls: dict[str, str] = {}
        await signer.ready()
        for file in await _files(request.project, found, asked.download_format, merger):
            path = f"/v1/llm/downloads/{found.id}/{quote(file.name)}"
            signature = signer.sign(f"{request.project}/{found.id}/{file.name}", expires_at)
            query = urlencode({"project": request.project, "expires": expires_at, "signature": signature})
            urls[file.name] = f"{host}{prefix}{path}?{query}"
        return Response(orjson.dumps({"urls": urls}))

    async def send(request: Request) -> None:
        identity, name = request.params["adapter"], request.params["file"]
        values = query_values(request, _QUERY)
        project, expires = values.get("project", ""), values.get("expires", "")
        at = int(expires) if expires.isascii() and expires.isdecimal() and len(expires) < 16 else 0
        await signer.ready()
        if not signer.check(f"{project}/{identity}/{name}", at, values.get("signature", "")):
            raise NotFound(
                "this address does not work, or not any more: ask for the download again",
                code="download_not_found",
            )
        found = await _made(platform, project, identity)
        file = await _file(platform, found, name)
        if file is None:
            raise NotFound(f"{found.name} has no file {name[:140]!r}", code="download_not_found")
        pieces = platform.blobs.read(file.blob)
        await download.send(request, pieces, content_type="application/octet-stream", length=file.bytes)

    return [
        Route(
            "POST",
            "/v1/llm/model-endpoints/download",
            ask,
            "Addresses of a fine-tuned model's files.",
            ANY_KEY,
            body=_DOWNLOAD,
            example={"model_name": "paddock/foal.shop.20261128-120000", "download_format": HUGGING_FACE},
        ),
        Route("GET", _PATH, send, "One file of a fine-tuned model.", PUBLIC, query=_QUERY),
    ]


async def _made(platform: Platform, project: str, name: str) -> Made:
    """By name or id.

    Raises:
        NotFound: no fine-tune has made such a thing.
    """
    try:
        return await adapters.get(platform, project, name)
    except NotFound:
        return await tuned_models.get(platform, project, name)


async def _find(platform: Platform, project: str, name: str) -> Made:
    try:
        return await _made(platform, project, name)
    except NotFound:
        raise InvalidRequest(
            f"model_name: {name[:140]!r} is no fine-tuned model; only what was made here can be downloaded",
            param="model_name",
            code="model_not_found",
        ) from None


async def _files(project: str, made: Made, format: str | None, merger: Merger) -> Sequence[StoredFile]:
    """
    Raises:
        UnsupportedParameter: there is none of this format.
    """
    if format in (None, HUGGING_FACE):
        return made.files
    if format == MERGED:
        # What was trained as a whole has nothing to be merged with.
        return await merger.files(project, made) if isinstance(made, Adapter) else made.files
    if format == GGUF:
        if isinstance(made, Adapter):
            return [_gguf(made)]
        raise UnsupportedParameter(
            f'download_format must be "{HUGGING_FACE}" or "{MERGED}": {made.name} is a whole model, which is'
            " not kept as a GGUF file",
            param="download_format",
        )
    raise UnsupportedParameter(
        f'download_format must be "{HUGGING_FACE}", "{MERGED}" or "{GGUF}", not {str(format)[:40]!r}',
        param="download_format",
    )


async def _file(platform: Platform, made: Made, name: str) -> StoredFile | None:
    if not isinstance(made, Adapter):
        return _named(name, made.files)
    own = [*made.files, _gguf(made)]
    return _named(name, own) or _named(name, await merged_files(platform, made.id) or [])


def _named(name: str, files: Sequence[StoredFile]) -> StoredFile | None:
    return next((one for one in files if one.name == name), None)


def _gguf(adapter: Adapter) -> StoredFile:
    return StoredFile(_GGUF_FILE, adapter.gguf, adapter.gguf_bytes, "")
