"""Sends a request to a replica and brings the answer back, whole or as it is generated.

A request whose engine dies before the caller got anything is sent to another replica, or to the one that
replaces it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from paddock.errors import EngineFailed, EngineLost, PaddockError
from paddock.inference import timeline
from paddock.inference.connection import Body, Flow, Sink
from paddock.inference.deployment import Deployment, Replica
from paddock.inference.gather import Gather
from paddock.inference.timeline import ENGINE, QUEUE, WAKE, Step

Result = TypeVar("Result")

_FOR_ONE_ANSWER = Gather(seconds=0.25, from_requests=1)
"""Nobody waits for the single pieces."""
_FOR_A_STREAM = Gather(seconds=0.008, from_requests=4)
"""Nobody sees it: a screen shows 60 pictures a second."""
_WAITED = 0.001
"""Seconds; less is no waiting."""
_ATTEMPTS = 3
"""A request that kills three engines must be what kills them."""


class Downstream(Protocol):
    """The caller's side of a stream: a connection that can hold us back."""

    paused: bool
    on_pause: Callable[[], None] | None
    on_resume: Callable[[], None] | None

    def start_stream(self, status: int, headers: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def end_stream(self) -> None: ...


class Collecting(Protocol):
    """Takes in an engine's whole stream."""

    def feed(self, data: bytes) -> None: ...

    def restart(self) -> None:
        """Another engine begins anew: what was fed is void."""


class Translator(Protocol):
    """Turns an engine's stream into a dialect's. Pure: bytes in, bytes out."""

    def restart(self) -> None:
        """Another engine begins anew, before anything was sent on: what was fed is void."""

    def feed(self, data: bytes) -> bytes:
        """What to send on for these bytes; may keep an unfinished event back."""

    def finish(self) -> bytes:
        """What to send when the engine's answer is whole."""

    def fail(self, error: PaddockError) -> bytes:
        """The dialect's last words when the engine broke off."""


class EngineRefused(PaddockError):
    """The engine answered with an error status; the dialect decides what the caller is told."""

    code = "engine_refused"
    status = 502

    def __init__(self, status: int, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        super().__init__(f"the engine answered with status {status}")
        self.engine_status = status
        self.body = body
        self.headers = headers


async def fetch(
    deployment: Deployment, path: bytes, body: bytes, *, own_route: bool = False, into: Body | None = None
) -> bytes:
    """The engine's whole answer to a POST.

    Args:
        path: below the engine's OpenAI prefix; with `own_route` below its root.
        into: takes the answer too; after a cancellation it has what had come by then.

    Raises:
        EngineRefused: it answered with an error.
        EngineFailed, EngineTimeout, Unavailable: it could not be asked, or broke off.
    """

    sink = Body() if into is None else into

    async def attempt(replica: Replica) -> None:
        if own_route:
            await replica.upstream.send(b"POST", path, body, sink)
        else:
            await _send(deployment, replica, path, body, sink)

    await _on_a_replica(deployment, body, attempt, sink.restart)
    if sink.status != 200:
        raise EngineRefused(sink.status, sink.data, sink.headers)
    return sink.data


async def collect(deployment: Deployment, path: bytes, body: bytes, into: Collecting) -> None:
    """Feeds the engine's whole event stream to `into`, for a caller who wants one answer.

    Raises:
        EngineRefused: it answered with an error.
        EngineFailed, EngineTimeout, Unavailable: it could not be asked, or broke off.
    """

    async def attempt(replica: Replica) -> Body:
        sink = _Collected(into.feed)
        await _send(deployment, replica, path, body, sink, gather=_FOR_ONE_ANSWER)
        return sink

    sink = await _on_a_replica(deployment, body, attempt, into.restart)
    if sink.status != 200:
        raise EngineRefused(sink.status, sink.data, sink.headers)


async def stream(
    deployment: Deployment,
    path: bytes,
    body: bytes,
    into: StreamOutcome,
) -> None:
    """Relays the engine's stream to its caller, which starts with the first bytes of an answer.

    An engine that breaks off in the middle ends the stream with the dialect's error event.

    Args:
        into: takes the stream, and says what became of it; after a cancellation too.

    Raises:
        EngineRefused, EngineFailed, EngineTimeout, Unavailable: nothing was sent yet; answer as you like.
    """
    downstream = into.downstream
    flow = Flow(downstream.paused)
    downstream.on_pause, downstream.on_resume = flow.pause, flow.resume

    async def attempt(replica: Replica) -> None:
        try:
            await _send(deployment, replica, path, body, into, flow, _FOR_A_STREAM)
        except PaddockError as error:
            if not into.started:
                raise
            into.error = error

    try:
        await _on_a_replica(deployment, body, attempt, into.restart, into)
    finally:
        downstream.on_pause = downstream.on_resume = None
    if into.status != 200 and not into.started:
        raise EngineRefused(into.status, b"".join(into.refusal), into.headers)
    into.close()


async def _on_a_replica(
    deployment: Deployment,
    body: bytes,
    attempt: Callable[[Replica], Awaitable[Result]],
    restart: Callable[[], None] | None = None,
    stream: StreamOutcome | None = None,
) -> Result:
    """What `attempt` gives on the replica that takes the request, or on the next one if that one is lost.

    Args:
        stream: what it relays, if it does.
    """
    tried: list[Replica] = []
    steps = timeline.steps.get()
    if steps is not None:
        attempt = _noted(steps, attempt, stream)
    while True:
        replica = deployment.take(body, tried) or await _wait(deployment, body, tried)
        try:
            return await attempt(replica)
        except EngineLost:
            deployment.suspect(replica)
            tried.append(replica)
            if len(tried) == _ATTEMPTS or not deployment.has_other(tried):
                raise
        finally:
            deployment.leave(replica)
        if restart is not None:
            restart()


async def _wait(deployment: Deployment, body: bytes, tried: list[Replica]) -> Replica:
    steps = timeline.steps.get()
    if steps is None:
        return await deployment.wait(body, tried)
    with timeline.step(steps, QUEUE if deployment.replicas else WAKE):
        return await deployment.wait(body, tried)


def _noted(
    steps: list[Step], attempt: Callable[[Replica], Awaitable[Result]], stream: StreamOutcome | None
) -> Callable[[Replica], Awaitable[Result]]:
    async def noting(replica: Replica) -> Result:
        with timeline.step(steps, ENGINE, replica.id or replica.upstream.base_url) as step:
            try:
                return await attempt(replica)
            finally:
                if stream is not None:
                    step.first = stream.first
                    step.error = stream.error.code if stream.error is not None else ""

    return noting


async def _send(
    deployment: Deployment,
    replica: Replica,
    path: bytes,
    body: bytes,
    sink: Sink,
    flow: Flow | None = None,
    gather: Gather | None = None,
) -> None:
    """Sends the engine what it is to generate from, and brings its answer."""
    upstream = replica.upstream
    path = upstream.prefix + path
    if replica.turns is None:
        await upstream.send(b"POST", path, body, sink, flow, gather)
        return
    began = time.perf_counter()
    async with replica.turns.of(deployment.adapter):
        if time.perf_counter() - began > _WAITED:
            timeline.queued(began)
        # Without the flow: a reader who stops would hold the turn, and with it everybody else up.
        await upstream.send(b"POST", path, _adapted(deployment, replica, body), sink, gather=gather)


def _adapted(deployment: Deployment, replica: Replica, body: bytes) -> bytes:
    """The request, a JSON object, for this engine: each may call an adapter something else.

    An engine with adapters compares what it remembers of a prompt only if it is told both.
    """
    position, scale = (replica.adapters[deployment.adapter], 1) if deployment.adapter else (0, 0)
    return b'%b,"cache_prompt":true,"lora":[{"id":%d,"scale":%d}]}' % (body[:-1], position, scale)


class _Collected(Body):
    """Feeds a good answer on and keeps a bad one."""

    __slots__ = ("_feed",)

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        super().__init__()
        self._feed = feed

    def on_data(self, data: bytes) -> None:
        if self.status == 200:
            self._feed(data)
        else:
            super().on_data(data)


class StreamOutcome:
    """The sink of a stream, and afterwards what became of it.

    Args:
        headers: of the answer, lines that each end in CRLF.

    Attributes:
        downstream: takes the stream.
        started: whether anything was sent to the caller.
        first: `time.perf_counter()` at the first bytes of the answer; 0.0 before.
        error: why the stream was cut short, if it was.
    """

    def __init__(self, downstream: Downstream, headers: bytes, translator: Translator) -> None:
        self.downstream = downstream
        self.status = 0
        self.started = False
        self.first = 0.0
        self.error: PaddockError | None = None
        self.headers: Mapping[bytes, bytes] = {}
        self.refusal: list[bytes] = []
        self._headers = headers
        self._translator = translator

    def restart(self) -> None:
        """Another engine begins anew, before anything was sent on: what came so far is void."""
        self.status = 0
        self.headers = {}
        self.refusal = []
        self._translator.restart()

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers

    def on_data(self, data: bytes) -> None:
        if self.status != 200:
            self.refusal.append(data)
            return
        try:
            out = self._translator.feed(data)
        except PaddockError:
            raise
        except Exception as error:
            raise broken_answer(f"{type(error).__name__} while reading its stream") from error
        if out:
            self._send(out)

    def close(self) -> None:
        """
        Raises:
            EngineFailed: the answer has no end, and nothing of it was sent yet.
        """
        try:
            last = self._translator.finish() if self.error is None else self._translator.fail(self.error)
        except PaddockError as error:
            if not self.started:
                raise
            self.error = error
            last = self._translator.fail(error)
        if last or not self.started:
            self._send(last)
        self.downstream.end_stream()

    def _send(self, data: bytes) -> None:
        if not self.started:
            self.started = True
            self.first = time.perf_counter()
            self.downstream.start_stream(200, self._headers)
        self.downstream.write(data)


def broken_answer(what: str) -> EngineFailed:
    return EngineFailed(f"the engine sent an answer that is not understood: {what}")
