"""A receiver of webhooks on loopback, which answers as it is told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """
    Attributes:
        url: where it listens.
        statuses: what it answers, one after the other; 204 once they are used up.
        seconds: how long it takes for each.
        received: what came, in order.
    """

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    seconds: float = 0.0
    received: list[Received] = field(default_factory=list)

    def take(self, one: Received) -> int:
        self.received.append(one)
        time.sleep(self.seconds)
        return self.statuses.pop(0) if self.statuses else 204


@contextlib.contextmanager
def receiving(*statuses: int, seconds: float = 0.0) -> Iterator[Receiver]:
    receiver = Receiver(statuses=list(statuses), seconds=seconds)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Received(self.path, headers, body))
            self.send_response(status)
            if status == 302:
                self.send_header("location", f"{receiver.url}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
