"""A relay in front of an engine that counts what it is asked, and outlives the server that asks."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.servers import HOST


class Counter:
    """How often anything was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._lock = threading.Lock()

    def count(self) -> None:
        with self._lock:
            self.asked += 1


@contextlib.contextmanager
def relay(engine_port: int, key: str) -> Iterator[tuple[int, Counter]]:
    """(the relay's port, what it counts) while the block lasts."""
    counter = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            counter.count()
            self._pass_on(self.rfile.read(int(self.headers["content-length"])))

        def _pass_on(self, body: bytes | None) -> None:
            connection = http.client.HTTPConnection(HOST, engine_port, timeout=60)
            try:
                head = {"content-type": "application/json", "authorization": f"Bearer {key}"}
                connection.request(self.command, self.path, body, head)
                answer = connection.getresponse()
                said = answer.read()
            finally:
                connection.close()
            # Whoever asked may have been killed meanwhile.
            with contextlib.suppress(OSError):
                self.send_response(answer.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            return  # connections of a killed server

    with Server((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], counter
        finally:
            server.shutdown()
