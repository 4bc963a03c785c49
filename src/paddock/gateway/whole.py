"""One whole answer from an engine, in the shape of its OpenAI API, counted as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import orjson

from paddock.engines.parameters import Plan
from paddock.errors import PaddockError
from paddock.gateway.collect import Collector, merge_answers
from paddock.gateway.counting import count, count_parts, estimate_prompt
from paddock.gateway.http import Request
from paddock.gateway.metered import metered_collectors, new_meter
from paddock.inference import relay
from paddock.inference.connection import Body
from paddock.inference.routing import Deployment

JSON = dict[str, Any]
FOR_THE_COUNT = 1.0
"""Seconds to wait for a brief answer whose caller has left."""


def path(chat: bool) -> bytes:
    """Below an engine's OpenAI prefix."""
    return b"/chat/completions" if chat else b"/completions"


async def answer(request: Request, deployment: Deployment, plan: Plan, *, chat: bool) -> JSON:
    """What the plan's requests to the engine give, put together.

    Raises:
        EngineRefused: the engine answered with an error.
        EngineFailed, EngineTimeout, RateLimited, Unavailable: it could not be asked, or broke off.
    """
    if not plan.collect and not plan.brief:
        return (await fetch(request, deployment, plan, chat=chat))[1]
    busy = deployment.busy()
    try:
        if plan.brief:
            return await _brief(request, deployment, plan, chat)
        return await collect(request, deployment, plan, chat=chat)
    finally:
        _note_pace(request, deployment, plan, busy)


async def fetch(request: Request, deployment: Deployment, plan: Plan, *, chat: bool) -> tuple[bytes, JSON]:
    """The answer to a plan's one request as it came, and parsed.

    Raises:
        As `answer`.
    """
    came = Body()
    try:
        raw = await relay.fetch(deployment, path(chat), plan.parts[0].body, into=came)
    except asyncio.CancelledError:
        with contextlib.suppress(PaddockError):
            count(request.record, _load(came.data).get("usage"))
        raise
    parsed = _load(raw)
    count(request.record, parsed.get("usage"))
    estimate_prompt(request)
    return raw, parsed


async def collect(request: Request, deployment: Deployment, plan: Plan, *, chat: bool) -> JSON:
    """One answer from the streams of all parts; what was generated counts in any case.

    Raises:
        As `answer`.
    """
    collectors = [Collector(chat) for _ in plan.parts]
    fed = metered_collectors(collectors, new_meter(request, collectors, plan.choices_each))
    try:
        await gather(
            [
                relay.collect(deployment, path(chat), part.body, into)
                for part, into in zip(plan.parts, fed, strict=True)
            ]
        )
        whole = [collector.answer() for collector in collectors]
    except BaseException:
        count_parts(request, collectors, choices_each=plan.choices_each)
        raise
    merged = whole[0] if len(whole) == 1 else merge_answers(whole, plan.choices_each)
    count_parts(request, collectors, choices_each=plan.choices_each)
    return merged


async def gather(awaitables: list[Any]) -> list[Any]:
    """Like asyncio.gather, but the first failure cancels the rest and is raised bare."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _brief(request: Request, deployment: Deployment, plan: Plan, chat: bool) -> JSON:
    """An answer that is soon over. A caller may leave meanwhile; his tokens count all the same."""
    asking = asyncio.ensure_future(relay.fetch(deployment, path(chat), plan.parts[0].body))
    try:
        return _take_whole(request, await asyncio.shield(asking), chat)
    except asyncio.CancelledError:
        with contextlib.suppress(PaddockError, TimeoutError):
            async with asyncio.timeout(FOR_THE_COUNT):
                _take_whole(request, await asking, chat)
        raise


def _take_whole(request: Request, raw: bytes, chat: bool) -> JSON:
    parsed = _load(raw)
    count(request.record, parsed.get("usage"))
    estimate_prompt(request)
    collector = Collector(chat)
    try:
        collector.take_whole(parsed)
        return collector.answer()
    except (KeyError, TypeError, AttributeError) as error:
        raise relay.broken_answer(f"{type(error).__name__} while reading it") from error


def _note_pace(request: Request, deployment: Deployment, plan: Plan, busy: float) -> None:
    """`busy` is what the deployment said of itself before it was asked."""
    if len(plan.parts) == 1:  # several wait for each other
        took = time.perf_counter() - request.started
        at_once = (deployment.busy() - busy) / took
        deployment.pace.note(request.record.completion_tokens, took, at_once)


def _load(raw: bytes) -> JSON:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise relay.broken_answer("it is not JSON") from None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("choices"), list):
        raise relay.broken_answer("it has no choices")
    return parsed
