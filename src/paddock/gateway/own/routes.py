"""What Paddock itself says: health, readiness, metrics and the documentation of every route."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from paddock.errors import PaddockError
from paddock.gateway.app import PUBLIC, Mount, Route
from paddock.gateway.http import Request, Response
from paddock.gateway.metrics import Metrics
from paddock.gateway.own.docs import openapi, page
from paddock.gateway.visible import visible
from paddock.inference.routing import Directory
from paddock.services.keys import ADMIN


def error_body(error: PaddockError) -> bytes:
    """The same shape as OpenAI's: one that every client of this server already reads."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return orjson.dumps(
        {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}
    )


def mount(
    directory: Directory,
    metrics: Metrics,
    refusal: Callable[[], PaddockError | None],
    documented: Sequence[Mount],
) -> Mount:
    """
    Args:
        refusal: why no requests are taken at the moment, or None if they are.
        documented: the other mounts, for /docs.
    """

    async def healthz(request: Request) -> Response:
        reason = refusal()
        if reason is not None:
            return Response(orjson.dumps({"status": reason.code, "message": reason.message}), 503)
        return Response(b'{"status":"ok"}')

    async def readyz(request: Request) -> Response:
        waiting = [one for one in directory.all() if not one.serves and one.base is None]
        reason = refusal()
        if reason is not None or waiting:
            # What is another project's is not named.
            seen = set(visible(directory, request.key).all())
            models = {one.name: one.problem for one in waiting if one in seen}
            return Response(orjson.dumps({"status": "waiting", "models": models}), 503)
        return Response(b'{"status":"ok"}')

    async def scrape(request: Request) -> Response:
        await metrics.refresh()
        return Response(metrics.render(), content_type=b"text/plain; version=0.0.4; charset=utf-8")

    async def docs(request: Request) -> Response:
        return Response(page(mounts), content_type=b"text/html; charset=utf-8")

    async def document(request: Request) -> Response:
        return Response(orjson.dumps(openapi(mounts)))

    own = Mount(
        "",
        "Paddock",
        error_body,
        [
            Route(
                "GET",
                "/healthz",
                healthz,
                "200 once requests can be taken.",
                PUBLIC,
                always=True,
                logged=False,
            ),
            Route(
                "GET",
                "/readyz",
                readyz,
                "200 once every wished model serves.",
                PUBLIC,
                always=True,
                logged=False,
            ),
            Route(
                "GET",
                "/metrics",
                scrape,
                "Counts and latencies for Prometheus.",
                ADMIN,
                always=True,
                logged=False,
            ),
            Route("GET", "/docs", docs, "This page.", PUBLIC, always=True),
            Route(
                "GET", "/openapi.json", document, "The same as an OpenAPI 3.1 document.", PUBLIC, always=True
            ),
            Route("GET", "/", docs, "The same page as /docs.", PUBLIC, always=True),
        ],
    )
    mounts = [*documented, own]
    return own
