"""A collector that takes traces by OTLP/HTTP and keeps them."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Span:
    """One span as the collector has it; times are in nanoseconds since 1970."""

    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    kind: int
    failed: bool
    attributes: dict[str, Any]
    links: list[tuple[str, str]]


@dataclass
class Collector:
    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def of(self, trace: str) -> dict[str, Span]:
        """A trace's spans by name."""
        return {span.name: span for span in self.spans if span.trace == trace}

    def take(self, path: str, headers: dict[str, str], data: bytes) -> None:
        if headers.get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        self.requests.append((path, headers, data))
        if self.status != 200:
            return
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            self.resources.append(_attributes(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += [_span(raw) for raw in scope.spans]


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Takes traces on a free loopback port while the block lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            collector.take(self.path, headers, self.rfile.read(int(headers["content-length"])))
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Not to the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _span(raw: Any) -> Span:
    return Span(
        raw.name,
        raw.trace_id.hex(),
        raw.span_id.hex(),
        raw.parent_span_id.hex(),
        raw.start_time_unix_nano,
        raw.end_time_unix_nano,
        raw.kind,
        raw.status.code == 2,
        _attributes(raw.attributes),
        [(link.trace_id.hex(), link.span_id.hex()) for link in raw.links],
    )


def _attributes(raw: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in raw}
