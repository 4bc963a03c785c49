"""Connections are kept and used again, and nobody is left with those of another thread, loop or process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import paddock.clients.fireworks as fireworks
from paddock.clients.fireworks import Completion, Model
from paddock.clients.transport.connecting import client_options, is_loopback, origin, timeouts
from tests.unit.clients.server import Exchange, Server
from tests.unit.clients.shapes import MODELS, text_chunk

Serve = Callable[..., Server]


def models(exchange: Exchange) -> None:
    exchange.answer(MODELS)


def stream(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.event(text_chunk("x"))
    exchange.end_stream()


class TestReuse:
    def test_one_connection_for_calls_in_turn(self, serve: Serve) -> None:
        server = serve(models)
        for _ in range(5):
            Model.list()
        assert (server.connections, len(server.exchanges)) == (1, 5)

    def test_streams_read_to_the_end_give_theirs_back(self, serve: Serve) -> None:
        server = serve(stream)
        for _ in range(3):
            list(Completion.create("foal", "a", stream=True))
        assert server.connections == 1

    def test_one_connection_in_a_loop(self, serve: Serve) -> None:
        server = serve(stream)

        async def several() -> None:
            for _ in range(3):
                assert [piece async for piece in Completion.acreate("foal", "a", stream=True)]

        asyncio.run(several())
        assert server.connections == 1

    def test_threads(self, serve: Serve) -> None:
        server = serve(models)
        threads = [threading.Thread(target=lambda: [Model.list() for _ in range(5)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.exchanges) == 40
        assert server.connections <= 8

    def test_loops_in_threads(self, serve: Serve) -> None:
        server = serve(models)
        threads = [threading.Thread(target=lambda: asyncio.run(Model.alist())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.exchanges) == 8


class TestEndOfLoop:
    def test_an_abandoned_stream_ends_with_it(self, serve: Serve) -> None:
        closed: list[bool] = []

        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(text_chunk("x"))
            closed.append(exchange.wait_for_close())

        kept: list[Any] = []

        async def first() -> None:
            kept.append(Completion.acreate("foal", "a", stream=True))
            await anext(kept[0])

        with serve(respond):
            asyncio.run(first())
        assert closed == [True]

    def test_a_cancelled_call_closes_its_connection(self, serve: Serve) -> None:
        closed: list[bool] = []

        async def cancel() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(Completion.acreate("foal", "a"), 0.2)

        with serve(lambda exchange: closed.append(exchange.wait_for_close())):
            asyncio.run(cancel())
        assert closed == [True]

    def test_a_loop_closed_by_hand(self, serve: Serve) -> None:
        serve(models)
        for _ in range(2):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(Model.alist())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own(serve: Serve) -> None:
    server = serve(models)
    Model.list()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if Model.list().data[0].id == "foal" else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    Model.list()
    assert (server.connections, len(server.exchanges)) == (2, 3)


def test_nothing_is_said_at_exit(serve: Serve) -> None:
    server = serve(models)
    program = (
        "import asyncio, gc; import paddock.clients.fireworks as f; f.Model.list();"
        "asyncio.run(f.Model.alist()); asyncio.run(f.Model.alist()); gc.collect()"
    )
    environment = {**os.environ, "FIREWORKS_API_BASE": server.url}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestConnecting:
    def test_cookies_are_not_kept(self, serve: Serve) -> None:
        server = serve(lambda exchange: exchange.answer(MODELS, set_cookie="session=1"))
        Model.list()
        Model.list()
        assert "cookie" not in server.exchanges[1].headers

    def test_a_proxy_is_for_other_machines(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        serve(models)
        assert fireworks.Model.list().data

    @pytest.mark.parametrize(
        ("url", "near"),
        [
            ("http://127.0.0.1:1/v1", True),
            ("http://[::1]:1", True),
            ("http://localhost", True),
            ("https://localhost", False),
            ("http://10.0.0.1", False),
            ("https://api.fireworks.ai/inference/v1", False),
        ],
    )
    def test_options(self, url: str, near: bool) -> None:
        options = client_options(origin(url))
        assert (options["verify"], options["trust_env"]) == (not near, not near)

    def test_loopback_names(self) -> None:
        assert is_loopback("foal.localhost")
        assert not is_loopback("localhost.example")

    def test_connecting_is_given_less_time(self) -> None:
        assert (timeouts(600).connect, timeouts(600).read) == (10, 600)
        assert (timeouts(3).connect, timeouts(None).connect, timeouts(None).read) == (3, 10, None)
