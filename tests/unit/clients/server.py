"""A server on loopback that answers as a test tells it to, byte for byte."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

Respond = Callable[["Exchange"], None]


class Exchange:
    """One request, and the connection to answer it on."""

    def __init__(self, connection: socket.socket, number: int, head: str, body: bytes) -> None:
        self.connection = connection
        self.number = number
        self.line, *lines = head.split("\r\n")
        self.method, self.path, _ = self.line.split(" ")
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    def begin_stream(self, **headers: str) -> None:
        lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def event(self, value: Any) -> None:
        self.chunk(b"data: %b\n\n" % (value if isinstance(value, bytes) else json.dumps(value).encode()))

    def end_stream(self) -> None:
        self.event(b"[DONE]")
        self.send(b"0\r\n\r\n")

    def hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def wait_for_close(self) -> bool:
        """Whether the client closed the connection, waiting up to five seconds for it."""
        self.connection.settimeout(5)
        with suppress(TimeoutError, ConnectionError):
            return self.connection.recv(1) == b""
        return False


class Server:
    """Answers request i with the i-th function, and further ones with the last.

    Attributes:
        exchanges: the requests so far.
        connections: how many were opened.
    """

    def __init__(self, *responses: Respond) -> None:
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self._responses = responses
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, run: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError, OSError), connection.makefile("rb") as reader:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = reader.readline()
                    if not line:
                        return
                    head += line
                text = head[:-4].decode()
                lengths = [
                    int(line[15:]) for line in text.lower().split("\r\n") if line[:15] == "content-length:"
                ]
                if "transfer-encoding: chunked" in text.lower().split("\r\n"):
                    body = _chunks(reader)
                else:
                    body = reader.read(lengths[0]) if lengths else b""
                with self._lock:
                    exchange = Exchange(connection, len(self.exchanges), text, body)
                    self.exchanges.append(exchange)
                respond = self._responses[min(exchange.number, len(self._responses) - 1)]
                respond(exchange)


def _chunks(reader: BinaryIO) -> bytes:
    body = b""
    while line := reader.readline():
        size = int(line, 16)
        body += reader.read(size)
        reader.readline()
        if not size:
            return body
    raise ConnectionError("the request broke off")
