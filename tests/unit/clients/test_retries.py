"""When a request is sent again, and when not."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest

import paddock.clients.fireworks as fireworks
from paddock.clients.fireworks import ChatCompletion, Completion, error
from paddock.clients.transport import Retry
from paddock.clients.transport.failures import parse_retry_after
from tests.unit.clients.both import Async, Sync
from tests.unit.clients.server import Exchange, Server
from tests.unit.clients.shapes import CHAT, ERROR, MODELS, text_chunk

Side = Sync | Async
Serve = Callable[..., Server]
HI = [{"role": "user", "content": "Hi"}]


def busy(status: int, **headers: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.answer(ERROR, status, **headers)


def good(exchange: Exchange) -> None:
    exchange.answer(CHAT)


def drop(exchange: Exchange) -> None:
    exchange.hang_up()


class TestWait:
    """The pure decision."""

    def test_doubles_up_to_the_longest(self) -> None:
        retry = Retry(tries=9, first=0.5, longest=3.0)
        waits = [retry.wait(tried, None, 100, uniform=lambda low, high: high) for tried in range(1, 6)]
        assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]

    def test_jitter_takes_the_whole_range(self) -> None:
        assert Retry().wait(1, None, 100, uniform=lambda low, high: low) == 0.0

    def test_gives_up_after_the_last_try(self) -> None:
        assert Retry(tries=3).wait(3, None, 100) is None

    def test_never_earlier_than_retry_after(self) -> None:
        retry = Retry()
        assert retry.wait(1, 20.0, 100, uniform=lambda low, high: low) == 20.0
        assert retry.wait(1, 20.0, 100, uniform=lambda low, high: high) == 20.5

    def test_a_wait_that_does_not_fit_is_not_begun(self) -> None:
        assert Retry().wait(1, 20.0, 19.0) is None
        assert Retry().wait(1, 1e6, float("inf"), uniform=lambda low, high: low) == 1e6


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("3", 3.0),
            ("0.5", 0.5),
            ("-1", 0.0),
            ("", None),
            (None, None),
            ("soon", None),
            ("inf", None),
            ("nan", None),
        ],
    )
    def test_seconds(self, value: str | None, seconds: float | None) -> None:
        assert parse_retry_after(value) == seconds

    def test_date(self) -> None:
        now = 1_800_000_000.0
        assert parse_retry_after(formatdate(now + 7, usegmt=True), now) == 7.0
        assert parse_retry_after(formatdate(now - 7, usegmt=True), now) == 0.0


@pytest.mark.usefixtures("quick_retries")
class TestRequests:
    @pytest.mark.parametrize("fails", [busy(429), busy(503), drop], ids=["429", "503", "drop"])
    def test_succeeds_at_the_third_try(
        self, fails: Callable[[Exchange], None], side: Side, serve: Serve
    ) -> None:
        server = serve(fails, fails, good)
        assert side.create(ChatCompletion, "foal", HI).choices[0].message.content == "Hay."
        assert len({exchange.body for exchange in server.exchanges}) == 1
        assert len(server.exchanges) == 3

    @pytest.mark.parametrize("fails", [busy(429), drop], ids=["429", "drop"])
    def test_gives_up(self, fails: Callable[[Exchange], None], side: Side, serve: Serve) -> None:
        server = serve(fails)
        with pytest.raises(error.FireworksError):
            side.create(ChatCompletion, "foal", HI)
        assert len(server.exchanges) == 3

    @pytest.mark.parametrize("status", [400, 401, 404, 500, 502, 504])
    def test_other_statuses_are_final(self, status: int, side: Side, serve: Serve) -> None:
        server = serve(busy(status), good)
        with pytest.raises(error.FireworksError):
            side.create(ChatCompletion, "foal", HI)
        assert len(server.exchanges) == 1

    def test_a_stream_is_tried_again_before_it_begins(self, side: Side, serve: Serve) -> None:
        def stream(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(text_chunk("x"))
            exchange.end_stream()

        serve(busy(503), stream)
        assert [piece.choices[0].text for piece in side.pieces(Completion, "foal", "a")] == ["x"]

    def test_retry_after_is_respected(self, side: Side, serve: Serve) -> None:
        serve(busy(429, retry_after="0.3"), good)
        began = time.monotonic()
        side.create(ChatCompletion, "foal", HI)
        assert time.monotonic() - began >= 0.3

    def test_retry_after_beyond_the_timeout_fails_at_once(self, side: Side, serve: Serve) -> None:
        server = serve(busy(429, retry_after="60"), good)
        with pytest.raises(error.RateLimitError) as caught:
            side.create(ChatCompletion, "foal", HI, request_timeout=30)
        assert caught.value.retry_after == 60
        assert len(server.exchanges) == 1

    def test_nobody_listens(self, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        monkeypatch.setattr(fireworks, "base_url", url)
        with pytest.raises(
            error.APIConnectionError, match=f"cannot connect to {url}/models: Connection refused"
        ):
            side.models()

    def test_are_logged(self, side: Side, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "paddock.clients")
        server = serve(busy(503), lambda exchange: exchange.answer(MODELS))
        side.models()
        messages = [record.getMessage() for record in caplog.records if record.name == "paddock.clients"]
        assert messages[0].startswith("no such model; trying again in 0.0 s")
        assert messages[1].startswith(f"GET {server.url}/inference/v1/models: 200, ")


class TestTimeout:
    def test_is_not_tried_again(self, side: Side, serve: Serve) -> None:
        server = serve(lambda exchange: exchange.wait_for_close() and None)
        began = time.monotonic()
        with pytest.raises(error.APITimeoutError, match=r"sent nothing for 0.2 seconds"):
            side.create(ChatCompletion, "foal", HI, request_timeout=0.2)
        assert time.monotonic() - began < 2
        assert len(server.exchanges) == 1

    def test_in_a_stream(self, side: Side, serve: Serve) -> None:
        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(text_chunk("x"))
            exchange.wait_for_close()

        serve(respond)
        with pytest.raises(error.APITimeoutError):
            side.pieces(Completion, "foal", "a", request_timeout=0.2)
