"""Embeddings, where the engine can."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
from typing import Any

import orjson

from paddock.engines.parameters import dump
from paddock.errors import InvalidRequest, PaddockError, UnsupportedParameter
from paddock.gateway.accounts import admit
from paddock.gateway.counting import count, estimate_prompt
from paddock.gateway.engine_errors import refused
from paddock.gateway.http import Request, Response
from paddock.inference import relay
from paddock.inference.connection import Body
from paddock.inference.relay import EngineRefused
from paddock.inference.routing import Routes

JSON = dict[str, Any]


async def embed(request: Request, fields: JSON, routes: Routes) -> Response:
    """Answers POST /embeddings; vectors come as lists of floats or, as clients ask, as base64 of float32.

    Raises:
        UnsupportedParameter: the model makes no embeddings, or none of other dimensions than its own.
    """
    deployment = routes.resolve(fields["model"])
    await admit(request, deployment, 0)
    if not deployment.embeds:
        able = ", ".join(one.name for one in routes.all() if one.embeds) or "none of the served ones"
        raise UnsupportedParameter(
            f"model {deployment.name!r} makes no embeddings; {able} can. Serve an embedding model for that",
            param="model",
        )
    if not fields["input"]:
        raise InvalidRequest("input must not be empty", param="input")
    attached = deployment.engine == "attached"
    if "dimensions" in fields and not attached:
        raise UnsupportedParameter(
            "dimensions cannot be honoured: vectors have the model's own", param="dimensions"
        )
    wanted = fields.get("encoding_format", "float")
    body = {**fields, "model": deployment.engine_model}
    if not attached:
        body["encoding_format"] = "float"
        body.pop("user", None)
    came = Body()
    try:
        answer = _load(await relay.fetch(deployment, b"/embeddings", dump(body), into=came))
    except EngineRefused as error:
        raise refused(error, "input") from None
    except asyncio.CancelledError:
        with contextlib.suppress(PaddockError):
            count(request.record, _load(came.data).get("usage"))
        raise
    count(request.record, answer.get("usage"))
    estimate_prompt(request)
    try:
        if wanted == "base64" and not attached:
            for item in answer["data"]:
                vector = item["embedding"]
                item["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return Response(orjson.dumps({**answer, "model": deployment.name}))
    except (KeyError, TypeError, struct.error):
        raise relay.broken_answer("it has no embeddings") from None


def _load(raw: bytes) -> JSON:
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise relay.broken_answer("it is not JSON") from None
    if not isinstance(answer, dict):
        raise relay.broken_answer("it has no embeddings")
    return answer
