"""How each engine takes the neutral parameters: what passes, what is renamed, what is refused.

A known parameter that the engine cannot honour is refused, never silently dropped; so is an unknown one,
except by an attached server, of which only its owner knows what it takes.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

import orjson

from paddock.engines.llama_cpp import parameters as llama_cpp
from paddock.engines.llama_cpp import special_tokens, stops
from paddock.engines.llama_cpp.guided import check_schema, guide, safe_tools
from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.inference.deployment import in_background
from paddock.inference.routing import Deployment

JSON = dict[str, Any]
SOON = 1.0
"""Seconds in which an engine must stop for a caller who has left."""
SOON_ENOUGH = 5.0
"""The same where the caller is a batch, which leaves nothing unfinished unless it is cancelled."""
PROMPT_BYTES_LIKE_A_TOKEN = 32
"""To read so much of a prompt, some eight tokens, takes about as long as to make one."""
MAX_CHOICES = 2048
"""Choices that one request may ask for; OpenAI's limit for prompts. Each is a request to the engine."""


@dataclass(slots=True)
class Part:
    """One request to the engine. `index` is that of its (first) choice in the caller's answer."""

    index: int
    body: bytes


@dataclass(slots=True)
class Plan:
    """What is asked of the engine, and what of the answer is left for the gateway to do.

    Attributes:
        choices_each: choices for each prompt, one part each, if the gateway fans out.
        echo: the prompts' texts, if the gateway must put them before the answers.
        collect: whether the engine streams although the caller wants one answer.
        brief: whether the engine is asked for a whole answer because it is soon over.
        forced_tool: whether the answer is a tool call as JSON.
        rewrite: whether chunks need more than passing on.
        top_logprobs: alternatives that the caller asked for; the engine may send more.
    """

    stream: bool
    include_usage: bool
    parts: list[Part]
    choices_each: int = 1
    echo: list[str] = field(default_factory=list)
    collect: bool = False
    brief: bool = False
    forced_tool: bool = False
    rewrite: bool = False
    top_logprobs: int = 0


async def plan(deployment: Deployment, fields: JSON, *, chat: bool) -> Plan:
    """Turns a checked request into what this deployment's engine is sent.

    Raises:
        InvalidRequest: fields that are right alone do not fit together.
        UnsupportedParameter: the engine cannot honour a field.
    """
    if not deployment.generates:
        raise UnsupportedParameter(
            f"model {deployment.name!r} makes embeddings only; use /embeddings", param="model"
        )
    stream = fields.get("stream", False)
    options = fields.pop("stream_options", None)
    if options is not None and not stream:
        raise InvalidRequest("stream_options is only taken with stream: true", param="stream_options")
    include_usage = bool(options and options.get("include_usage"))
    _check_together(fields, chat)
    if deployment.engine == "attached":
        body = {**fields, "model": deployment.engine_model}
        if stream:
            # Usage is counted for every stream; the gateway drops the chunk if the caller did not ask.
            body["stream_options"] = {**(options or {}), "include_usage": True}
        return Plan(stream, include_usage, [Part(0, dump(body))])
    return await _plan_llama_cpp(deployment, fields, stream, include_usage, chat)


async def _plan_llama_cpp(
    deployment: Deployment, fields: JSON, stream: bool, include_usage: bool, chat: bool
) -> Plan:
    _refuse_unknown(fields, llama_cpp.CHAT if chat else llama_cpp.COMPLETION, deployment.engine)
    base, top_logprobs = llama_cpp.translate(deployment, fields, chat=chat)
    guided = await guide(fields)
    if guided:
        base.pop("response_format", None)
        base |= guided
    if "tools" in base:
        base["tools"] = await safe_tools(base["tools"])
        if llama_cpp.forces_tool(fields):
            await check_schema(base["response_format"]["json_schema"]["schema"], "tools")
    if fields.get("skip_special_tokens") is False:
        with_end = bool(fields.get("include_stop_str_in_output"))
        base["preserved_tokens"] = await special_tokens.shown(deployment, with_end=with_end)
    prompts = [None] if chat else llama_cpp.prompts(fields["prompt"])
    n = fields.get("n", 1)
    if len(prompts) * n > MAX_CHOICES:
        raise InvalidRequest(
            f"{len(prompts)} prompts with n {n} make {len(prompts) * n} choices; at most {MAX_CHOICES} are"
            " answered in one request",
            param="prompt",
        )
    parts = _parts(base, prompts, n)
    echo = await llama_cpp.texts(deployment, prompts) if fields.get("echo") else []
    forced_tool = chat and llama_cpp.forces_tool(fields)
    brief = len(parts) == 1 and not stream and not forced_tool and _is_brief(deployment, base, parts[0])
    if brief:
        parts = _parts(llama_cpp.unstreamed(base), prompts, n)
    return Plan(
        stream,
        include_usage,
        parts,
        n,
        echo,
        collect=not stream and not brief,
        brief=brief,
        forced_tool=forced_tool,
        rewrite=top_logprobs is not None or stops.asks(base),
        top_logprobs=top_logprobs or 0,
    )


def _parts(base: JSON, prompts: list[Any], n: int) -> list[Part]:
    seed = base.get("seed")
    parts = []
    for number, prompt in enumerate(prompts):
        for choice in range(n):
            body = dict(base)
            if prompt is not None:
                body["prompt"] = prompt
            if seed is not None and n > 1:
                # The same seed for each choice would make them all the same.
                body["seed"] = (seed + choice) % llama_cpp.SEEDS
            parts.append(Part(number * n + choice, dump(body)))
    return parts


def _is_brief(deployment: Deployment, base: JSON, part: Part) -> bool:
    """Whether the answer is over before a caller who leaves could be noticed."""
    if "max_tokens" not in base or "logprobs" in base:
        # With a stop string a whole answer lacks log probabilities of tokens that it has the text of.
        return False
    tokens = base["max_tokens"] + len(part.body) // PROMPT_BYTES_LIKE_A_TOKEN
    if in_background.get():
        return deployment.pace.longest(tokens) <= SOON_ENOUGH
    return deployment.longest(tokens) <= SOON


def dump(body: JSON) -> bytes:
    """The body for the engine.

    Raises:
        InvalidRequest: something in it has no place in ordinary JSON.
    """
    try:
        return orjson.dumps(body)
    except TypeError as error:
        # The fields that we know have bounds, so it lies in one that is passed on as it is.
        names = [name for name, value in body.items() if not _dumps(value)]
        raise InvalidRequest(f"{', '.join(names)[:100]}: {error}", param=names[0][:100]) from None


def _dumps(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def _check_together(fields: JSON, chat: bool) -> None:
    if chat:
        if fields.get("top_logprobs") is not None and not fields.get("logprobs"):
            raise InvalidRequest("top_logprobs is only taken with logprobs: true", param="top_logprobs")
        if "tool_choice" in fields and fields["tool_choice"] != "none" and not fields.get("tools"):
            raise InvalidRequest("tool_choice is only taken with tools", param="tool_choice")
    elif fields.get("best_of") is not None and fields["best_of"] < fields.get("n", 1):
        raise InvalidRequest("best_of must be at least n", param="best_of")
    stop = fields.get("stop")
    if stop == "" or (isinstance(stop, list) and "" in stop):
        raise InvalidRequest("stop must not contain an empty string", param="stop")


def _refuse_unknown(fields: JSON, known: frozenset[str], engine: str) -> None:
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(sorted(known))}"
            raise UnsupportedParameter(
                f"{name!r} is not a parameter that {engine} takes here{hint}", param=name[:100]
            )
