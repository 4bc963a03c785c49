"""A trace for each request, exported by OTLP/HTTP; needs the extra `otel`.

What took how long is noted while a request is answered (`inference.timeline`), and made into spans when it is
over. A thread of OpenTelemetry's exports them in batches, and drops what a collector does not take: an answer
never waits for one. No span has anything of a prompt or of an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from os import urandom
from typing import Any
from uuid import uuid4

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from paddock.gateway.http import Record, Request
from paddock.inference import timeline
from paddock.inference.timeline import ENGINE, Step

log = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0
FIRST_TOKEN = "first token"
_ABORTED = "aborted"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("paddock")
_UNSET = Status(StatusCode.UNSET)
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracer:
    """
    Args:
        endpoint: the full URL that takes traces, `http://collector:4318/v1/traces`. Headers, time-outs and
            certificates are those of the standard variables, `OTEL_EXPORTER_OTLP_HEADERS` and others.
    """

    def __init__(self, endpoint: str) -> None:
        # It would report each batch that a collector does not take; we say once that it does not.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        own = {"service.name": "paddock", "service.instance.id": str(uuid4())}
        self._resource = Resource(own).merge(OTELResourceDetector().detect())
        self._exporter = _Quiet(endpoint, OTLPSpanExporter(endpoint))
        self._processor = BatchSpanProcessor(self._exporter)

    def begin(self) -> None:
        """From here on this task, and those that it starts, note the steps of a request."""
        timeline.steps.set([])

    def finish(self, request: Request, seconds: float) -> None:
        """The request is over; to be called by the task that began it.

        Args:
            seconds: that it took.
        """
        if not request.record.logged:
            return
        ago = time.time() - time.perf_counter()

        def at(moment: float) -> int:
            return int((moment + ago) * 1e9)

        trace = int(request.id, 16)
        whole = self._server_span(request, trace, at(request.started), at(request.started + seconds))
        for step in timeline.steps.get() or ():
            self._note_step(step, whole.context, at)
        self._processor.on_end(whole)

    async def close(self) -> None:
        """Exports what is not exported, for `CLOSE_SECONDS` at most."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]  # it has no annotations
            with contextlib.suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=end, daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await ended.wait()
        except TimeoutError:
            self._exporter.shutdown()

    def _server_span(self, request: Request, trace: int, start: int, end: int) -> ReadableSpan:
        record = request.record
        attributes: dict[str, Any] = {
            "http.request.method": request.method,
            "http.response.status_code": record.status,
            "url.path": request.path[:200],
            "url.scheme": "http",
            "paddock.project": request.project,
        }
        if record.route:
            attributes["http.route"] = record.route
        if request.key.id:
            attributes["paddock.key"] = request.key.id
        if record.model:
            attributes |= _of_generation(record)
        error = record.outcome or (str(record.status) if record.status >= 400 else "")
        if error:
            attributes["error.type"] = error
        # A caller who asks for what there is not, or leaves, is no error of the server's.
        failed = bool(error) and error != _ABORTED and not 400 <= record.status < 500
        return self._span(
            f"{request.method} {record.route}".rstrip(),
            _context(trace),
            None,
            (start, end),
            attributes,
            SpanKind.SERVER,
            failed=failed,
            links=_links(request.headers),
        )

    def _note_step(self, step: Step, parent: SpanContext, at: Callable[[float], int]) -> None:
        context = _context(parent.trace_id)
        attributes = {"paddock.replica": step.replica} if step.replica else {}
        if step.error:
            attributes["error.type"] = step.error
        failed = bool(step.error) and step.error != _ABORTED
        kind = SpanKind.CLIENT if step.name == ENGINE else SpanKind.INTERNAL
        times = at(step.began), at(step.ended)
        self._processor.on_end(self._span(step.name, context, parent, times, attributes, kind, failed=failed))
        if step.first:
            times = at(step.began), at(step.first)
            self._processor.on_end(self._span(FIRST_TOKEN, _context(parent.trace_id), context, times))

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        times: tuple[int, int],
        attributes: Mapping[str, Any] | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        failed: bool = False,
        links: Sequence[Link] = (),
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            attributes,
            links=links,
            kind=kind,
            status=Status(StatusCode.ERROR) if failed else _UNSET,
            start_time=times[0],
            end_time=times[1],
            instrumentation_scope=_SCOPE,
        )


class _Quiet(SpanExporter):
    """Exports, and says once when that begins to fail and once when it works again."""

    def __init__(self, endpoint: str, exporter: SpanExporter) -> None:
        self._endpoint = endpoint
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("%s takes no traces now; those that it does not take are lost", self._endpoint)
        elif self._failing and not failing:
            log.info("%s takes traces again", self._endpoint)
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _of_generation(record: Record) -> dict[str, Any]:
    """By OpenTelemetry's conventions for generative AI, as far as they fit."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": _operation(record.route),
        "gen_ai.request.model": record.model,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
    }
    if record.deployment is not None:
        attributes["paddock.deployment"] = record.deployment.name
    return attributes


def _operation(route: str) -> str:
    if "embeddings" in route:
        return "embeddings"
    return "chat" if "chat/completions" in route else "text_completion"


def _context(trace: int) -> SpanContext:
    return SpanContext(trace, int.from_bytes(urandom(8)) or 1, is_remote=False, trace_flags=_SAMPLED)


def _links(headers: Mapping[bytes, bytes]) -> Sequence[Link]:
    """The caller's own trace; nothing if the header is malformed."""
    if b"traceparent" not in headers:
        return ()
    carrier = {
        name: headers[name.encode()].decode("latin-1")
        for name in ("traceparent", "tracestate")
        if name.encode() in headers
    }
    context = get_current_span(_PROPAGATOR.extract(carrier)).get_span_context()
    return (Link(context),) if context.is_valid else ()
