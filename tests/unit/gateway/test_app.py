"""Which route a path means."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.errors import PaddockError
from paddock.gateway.app import App, Mount, Route
from paddock.gateway.http import Request, Response
from paddock.gateway.metrics import Metrics


class Caller:
    """A connection that keeps what it is told."""

    peer = "test"
    paused = started_response = False
    on_pause = on_resume = None

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (0, b"")

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        self.answer = (status, body)

    def start_stream(self, status: int, headers: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def end_stream(self) -> None: ...

    def close(self) -> None: ...


def app(*patterns: str, prefix: str = "/api", method: str = "GET") -> App:
    """Each route answers with its pattern and what it captured."""

    def route(pattern: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return Response(f"{pattern} {request.params}".encode())

        return Route(method, pattern, endpoint, "")

    def error_body(error: PaddockError) -> bytes:
        return error.message.encode()

    mount = Mount(prefix, "", error_body, [route(pattern) for pattern in patterns])
    return App([mount], Metrics(lambda: ()), None)


async def ask(to: App, url: str, method: str = "GET") -> tuple[int, str]:
    caller: Any = Caller()
    await to(Request(caller, method, url.encode(), {}, b"", True, True))
    return caller.answer[0], caller.answer[1].decode()


class TestPatterns:
    PATTERNS = ("/things/{name}", "/things/{name}/logs", "/things", "/things/all/{name}")

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("/things", "/things {}"),
            ("/things/", "/things {}"),
            ("/things/a", "/things/{name} {'name': 'a'}"),
            ("/things/a/b/", "/things/{name} {'name': 'a/b'}"),
            ("/things/a%2Fb%20c?x=y", "/things/{name} {'name': 'a/b c'}"),
            ("/things/a/b/logs", "/things/{name}/logs {'name': 'a/b'}"),
            ("/things/a/logs/logs", "/things/{name}/logs {'name': 'a/logs'}"),
            ("/things/logs", "/things/{name} {'name': 'logs'}"),
            ("/things/all/a", "/things/all/{name} {'name': 'a'}"),
        ],
    )
    @pytest.mark.parametrize("order", [1, -1])
    async def test_the_one_with_more_text_of_its_own_is_meant(self, order: int, path: str, said: str) -> None:
        assert await ask(app(*self.PATTERNS[::order]), f"/api{path}") == (200, said)

    async def test_a_mount_may_have_names_in_its_prefix(self) -> None:
        pinned = app("/models", "/models/{model}", prefix="/instances/{instance_id}/v1")
        status, said = await ask(pinned, "/instances/dep-1/v1/models/org/name")
        assert (status, said) == (200, "/models/{model} {'instance_id': 'dep-1', 'model': 'org/name'}")
        assert (await ask(pinned, "/instances/dep-1/v1/models"))[0] == 200

    @pytest.mark.parametrize("path", ["/api/thing", "/api/things/%0A", "/apis/things/a", "//"])
    async def test_what_is_none(self, path: str) -> None:
        status, said = await ask(app(*self.PATTERNS), path)
        assert status == 404
        assert "there is no route" in said

    async def test_a_method_that_it_does_not_take(self) -> None:
        assert (await ask(app(*self.PATTERNS), "/api/things/a", "POST"))[0] == 405
        assert (await ask(app(*self.PATTERNS), "/api/things/a", "HEAD"))[0] == 200
