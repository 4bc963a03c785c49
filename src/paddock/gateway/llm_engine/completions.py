"""Completions from a model endpoint: `completions-sync` and `completions-stream`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import TypeAdapter

from paddock.engines.parameters import Plan, plan
from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.gateway import callbacks, whole
from paddock.gateway.accounts import admit
from paddock.gateway.callbacks import Heard
from paddock.gateway.counting import count_parts, finish_stream
from paddock.gateway.engine_errors import refused
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.llm_engine.errors import own_fields
from paddock.gateway.llm_engine.outputs import Events, output
from paddock.gateway.metered import metered_translator, new_meter
from paddock.gateway.sse import HEADERS
from paddock.gateway.validate import parse_unkept
from paddock.inference import relay
from paddock.inference.relay import EngineRefused, StreamOutcome
from paddock.inference.routing import Deployment, Routes
from paddock.schemas.bounds import INT32
from paddock.schemas.llm_engine import CompletionStreamV1Request, CompletionSyncV1Request

JSON = dict[str, Any]
Body = CompletionSyncV1Request | CompletionStreamV1Request

SYNC: TypeAdapter[CompletionSyncV1Request] = TypeAdapter(CompletionSyncV1Request)
STREAM: TypeAdapter[CompletionStreamV1Request] = TypeAdapter(CompletionStreamV1Request)
NAME = "model_endpoint_name"
QUERY: Mapping[str, str] = {NAME: "Name of the model endpoint to ask."}

OUR_NAMES = {
    "model": NAME,
    "stop": "stop_sequences",
    "max_tokens": "max_new_tokens",
    "logprobs": "return_token_log_probs",
    "json_schema": "guided_json",
}
_SAME = (
    "presence_penalty",
    "frequency_penalty",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "include_stop_str_in_output",
    "skip_special_tokens",
)
_MOST_ALTERNATIVES = 20
"""Among so many likeliest tokens the one that was taken is found, which has its own text there."""


async def complete(request: Request, routes: Routes) -> Response:
    """Answers `completions-sync`.

    Raises:
        PaddockError: the request cannot be answered.
    """
    body = parse_unkept(SYNC, request.body)
    deployment, planned = await _plan(request, body, routes, stream=False)
    try:
        answer = await whole.answer(request, deployment, planned, chat=False)
    except EngineRefused as error:
        raise refused(error, "prompt") from None
    try:
        said = output(answer, with_tokens=bool(body.return_token_log_probs))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise relay.broken_answer(f"{type(error).__name__} while reading it") from error
    answered = {"request_id": request.id, "output": said}
    if callbacks.wanted(request, deployment):
        await callbacks.tell(request, deployment, answered)
    return Response(orjson.dumps(answered))


async def stream(request: Request, routes: Routes) -> None:
    """Answers `completions-stream`.

    Raises:
        PaddockError: the request cannot be answered, and nothing was sent.
    """
    body = parse_unkept(STREAM, request.body)
    deployment, planned = await _plan(request, body, routes, stream=True)
    request.record.streamed = True
    events = Events(request.id, body.max_new_tokens, with_tokens=bool(body.return_token_log_probs))
    headers = HEADERS % request.answer_headers
    engine_body = planned.parts[0].body
    metered = metered_translator(events, new_meter(request, [events]))
    heard = Heard(metered, chat=False) if callbacks.wanted(request, deployment) else None
    outcome = StreamOutcome(request.connection, headers, heard or metered)
    try:
        await relay.stream(deployment, whole.path(chat=False), engine_body, outcome)
        if heard is not None and outcome.error is None:
            callbacks.tell_soon(request, deployment, lambda: _whole(request, body, heard))
    except EngineRefused as error:
        raise refused(error, "prompt") from None
    finally:
        count_parts(request, [events])
        finish_stream(request, outcome.first, outcome.error)


def _whole(request: Request, body: Body, heard: Heard) -> JSON:
    """A streamed answer as it would have been in one piece."""
    said = output(heard.answer(), with_tokens=bool(body.return_token_log_probs))
    return {"request_id": request.id, "output": said}


def neutral(body: Body, *, attached: bool, stream: bool) -> JSON:
    """The request under the names that engines' parameters have here.

    Args:
        attached: whether it goes to a server of somebody else's, which gets only what the caller sent.
    """
    given = body.model_dump(exclude_unset=True)
    fields: JSON = {
        "prompt": body.prompt,
        "max_tokens": min(body.max_new_tokens, INT32),
        "temperature": body.temperature,
        "stream": stream,
        **{name: given[name] for name in _SAME if name in given},
    }
    if body.stop_sequences:
        fields["stop"] = body.stop_sequences
    # Whatever the model's own files say: what is not given considers every token.
    if body.top_k is not None or not attached:
        fields["top_k"] = min(body.top_k or -1, INT32)
    if body.top_p is not None or not attached:
        fields["top_p"] = 1.0 if body.top_p is None else body.top_p
    if body.return_token_log_probs:
        fields["logprobs"] = 1 if attached or not body.stop_sequences else _MOST_ALTERNATIVES
    if stream and not attached:
        fields["timings_per_token"] = True
    return fields


def endpoint_name(request: Request, body: Body) -> str:
    """The endpoint that is asked: from the query, or from the body as clients of other dialects have it.

    Raises:
        InvalidRequest: it is not said, or said twice.
    """
    in_query = query_values(request, QUERY).get(NAME)
    extra = body.model_extra or {}
    in_body = [extra.pop(name) for name in (NAME, "model") if extra.get(name) is not None]
    names = {*([in_query] if in_query else []), *map(str, in_body)}
    if len(names) != 1:
        wrong = "names " + " and ".join(sorted(names)) if names else "is missing"
        raise InvalidRequest(
            f"{NAME} {wrong}: say in the query which one model endpoint to ask, ?{NAME}=...", param=NAME
        )
    return names.pop()


async def _plan(request: Request, body: Body, routes: Routes, *, stream: bool) -> tuple[Deployment, Plan]:
    name = endpoint_name(request, body)
    _refuse_unknown(body)
    with own_fields(OUR_NAMES):
        deployment = routes.resolve(name)
        await admit(request, deployment, body.max_new_tokens)
        fields = neutral(body, attached=deployment.engine == "attached", stream=stream)
        return deployment, await plan(deployment, fields, chat=False)


def _refuse_unknown(body: Body) -> None:
    for name in body.model_extra or ():
        known = list(type(body).model_fields)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(known)}"
        raise UnsupportedParameter(
            f"{name[:100]!r} is not a parameter of completions here{hint}", param=name[:100]
        )
