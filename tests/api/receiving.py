"""A server whose few routes read bodies as they come, and answer with bytes as they are read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from paddock.errors import PaddockError
from paddock.gateway.app import App, Endpoint, Mount, Route
from paddock.gateway.http import Request, Response
from paddock.gateway.metrics import Metrics
from paddock.gateway.server import HttpServer

LIMIT = 1_000_000
MAX_BODY = 10_000


@dataclass
class Serving:
    app: App
    http: HttpServer
    port: int


def error_body(error: PaddockError) -> bytes:
    return json.dumps({"code": error.code, "message": error.message, "param": error.param}).encode()


async def count(request: Request) -> Response:
    """Reads all of the body, and says how much that was."""
    return Response(b"%d" % sum([len(piece) async for piece in request.pieces(LIMIT)]))


async def plain(request: Request) -> Response:
    return Response(b"plain %d" % len(request.body))


def upload(endpoint: Endpoint, pattern: str = "/upload", method: str = "POST") -> Route:
    return Route(method, pattern, endpoint, "", receives=True)


@contextlib.asynccontextmanager
async def serving(*routes: Route, prefix: str = "") -> AsyncIterator[Serving]:
    """These routes, and `POST /plain` and `GET /plain`, which do not receive."""
    ordinary: Sequence[Route] = [Route(method, "/plain", plain, "") for method in ("GET", "POST")]
    mount = Mount(prefix, "", error_body, [*routes, *ordinary])
    app = App([mount], Metrics(lambda: ()), None)
    http = HttpServer(app, app.refuse, MAX_BODY, app.receives)
    port = await http.listen("127.0.0.1", 0)
    try:
        yield Serving(app, http, port)
    finally:
        await http.close()
