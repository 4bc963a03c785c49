"""What can be said against a batch before it is accepted: by its file, and by the model of the first line."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import orjson

from paddock.errors import InvalidRequest, ModelNotFound, NotFound, UnsupportedParameter
from paddock.gateway.openai.batch_rows import EMBEDDINGS
from paddock.gateway.visible import require
from paddock.inference.routing import Routes
from paddock.schemas.files import File
from paddock.services import files, tuned_models
from paddock.services.keys import Key
from paddock.services.platform import Platform, in_thread
from paddock.services.wishes import facts_of

FIRST_LINE = 64 * 1024
"""Bytes; the model of a longer first line is found out when all of it is read."""
FIELD = "input_file_id"


@dataclass(frozen=True)
class Found:
    """
    Attributes:
        model: what the first line asks for; empty if that cannot be told yet.
        needs: the attached server that answers for it, if one does.
    """

    model: str = ""
    needs: str = ""


async def check_input(platform: Platform, key: Key, routes: Routes, identity: str, endpoint: str) -> Found:
    """
    Raises:
        InvalidRequest: there is no such file, it has no lines, or its model cannot be asked this; `param`
            names the field.
    """
    try:
        file = await files.get(platform, key.project, identity)
        if not file.bytes:
            raise InvalidRequest(f"{FIELD}: file {file.id} is empty", param=FIELD, code="empty_file")
        if file.characters is None:
            raise InvalidRequest(
                f"{FIELD}: file {file.id} is not UTF-8 text; it must have a JSON object in each line",
                param=FIELD,
                code="invalid_encoding",
            )
        model = await _first_model(platform, file)
    except NotFound as error:
        raise missing(error) from None
    return await _check_model(platform, key, routes, model, endpoint) if model else Found()


def missing(error: NotFound) -> InvalidRequest:
    """A file that is named in a body and is not there is a fault of the body."""
    return InvalidRequest(
        f"{FIELD}: {error.message}; upload it first, by POST /v1/files", param=FIELD, code=error.code
    )


async def _first_model(platform: Platform, file: File) -> str:
    begin = b""
    async with aclosing(files.content(platform, file)) as pieces:
        async for piece in pieces:
            begin += piece
            if b"\n" in begin or len(begin) >= FIRST_LINE:
                break
    try:
        model = orjson.loads(begin[:FIRST_LINE].partition(b"\n")[0])["body"]["model"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return ""  # What is wrong with it is told with all that is wrong, once the file is read.
    return model if isinstance(model, str) else ""


async def _check_model(platform: Platform, key: Key, routes: Routes, model: str, endpoint: str) -> Found:
    try:
        deployment = routes.resolve(model)
    except ModelNotFound:
        return await _check_known(platform, key, model, endpoint)
    except InvalidRequest as error:
        raise _refusal(error.message, error.code) from None
    if deployment.stopped:
        raise _refusal(
            f"model {deployment.name!r} is stopped on purpose: start it first, or ask another",
            "model_stopped",
        )
    _check_able(deployment.name, endpoint, generates=deployment.generates, embeds=deployment.embeds)
    return Found(model, deployment.name if deployment.engine == "attached" else "")


async def _check_known(platform: Platform, key: Key, model: str, endpoint: str) -> Found:
    """One that is not served is brought up for the batch."""
    try:
        tuned = await platform.store.read(lambda session: tuned_models.known(session, key.project))
        facts = await in_thread(lambda: facts_of(platform, model, tuned))
    except ModelNotFound:
        return Found()  # A fault of the input, which is told as such once it is read.
    except InvalidRequest as error:
        raise _refusal(error.message, error.code) from None
    require(key, facts.name)
    embeds = facts.embeds or bool(platform.settings.embeddings)
    _check_able(facts.name, endpoint, generates=facts.generates, embeds=embeds)
    return Found(model)


def _check_able(name: str, endpoint: str, *, generates: bool, embeds: bool) -> None:
    if endpoint == EMBEDDINGS and not embeds:
        raise UnsupportedParameter(
            f"{FIELD}: model {name!r} of its first line makes no embeddings", param=FIELD
        )
    if endpoint != EMBEDDINGS and not generates:
        raise UnsupportedParameter(
            f"{FIELD}: model {name!r} of its first line makes embeddings only; the endpoint for it is"
            f" {EMBEDDINGS}",
            param=FIELD,
        )


def _refusal(why: str, code: str) -> InvalidRequest:
    return InvalidRequest(f"{FIELD}: the first line: {why}", param=FIELD, code=code)
