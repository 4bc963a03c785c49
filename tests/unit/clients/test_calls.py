"""What a call may carry, as the server gets it, from both sides of the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from paddock.clients.transport import AsyncTransport, Call, Failure, Transport
from tests.unit.clients.server import Exchange, Server


class Refused(Exception):
    pass


def refused(failure: Failure) -> Exception:
    return Refused(failure.message)


def synchronous(url: str, call: Call[Any], **options: Any) -> Any:
    return Transport(url, refused, **options).request(call)


def asynchronous(url: str, call: Call[Any], **options: Any) -> Any:
    return asyncio.run(AsyncTransport(url, refused, **options).request(call))


@pytest.fixture(params=[synchronous, asynchronous])
def send(request: pytest.FixtureRequest) -> Callable[..., Any]:
    found: Callable[..., Any] = request.param
    return found


def exchanged(send: Callable[..., Any], call: Call[Any], **options: Any) -> Exchange:
    with Server(lambda exchange: exchange.answer({})) as server:
        assert send(server.url, call, **options) == {}
        return server.exchanges[0]


def same(answer: Any) -> Any:
    return answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_methods(method: str, send: Callable[..., Any]) -> None:
    sent = exchanged(send, Call(method, "a", same, body={"b": 1}))
    assert (sent.method, sent.json()) == (method, {"b": 1})


def test_form(send: Callable[..., Any]) -> None:
    sent = exchanged(send, Call("POST", "token", same, form={"name": "a b&c", "grant": "ö"}))
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sent.body == b"name=a+b%26c&grant=%C3%B6"


def test_params(send: Callable[..., Any]) -> None:
    assert exchanged(send, Call("GET", "a", same, params={"name": "b&c"})).path == "/a?name=b%26c"


def test_headers_of_a_call_take_the_place_of_the_transports(send: Callable[..., Any]) -> None:
    call = Call("GET", "a", same, headers={"X-Key": "own", "Accept": "text/plain"})
    sent = exchanged(send, call, api_key="k", headers={"x-key": "shared", "X-Other": "shared"})
    assert (sent.headers["x-key"], sent.headers["x-other"]) == ("own", "shared")
    assert (sent.headers["accept"], sent.headers["authorization"]) == ("text/plain", "Bearer k")


def test_a_header_that_is_none(send: Callable[..., Any]) -> None:
    with pytest.raises(Refused):
        exchanged(send, Call("GET", "a", same, headers={"x-key": "a\nb"}))
