from __future__ import annotations

from typing import Any

import pytest

from paddock.errors import BudgetSpent, PaddockError
from paddock.gateway.metered import AHEAD, metered_translator, new_meter
from paddock.services.prices import Price

COST = 1_000
"""Of a token."""
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


class Hold:
    """What a request may cost: no more than `budget`."""

    metered = True

    def __init__(self, budget: int, reserved: int = 0) -> None:
        self.budget = budget
        self.reserved = reserved
        self.charges = 0

    def charge(self, cost: int) -> None:
        self.charges += 1
        if cost <= self.reserved:
            return
        if cost > self.budget:
            raise BudgetSpent("it is spent")
        self.reserved = cost

    def reserve(self, cost: int) -> None:
        if self.reserved < cost <= self.budget:
            self.reserved = cost


class Stream:
    """Counts the events that come, and passes them on."""

    usage = None
    prompt_tokens = 0

    def __init__(self) -> None:
        self.pieces = 0

    def restart(self) -> None:
        self.pieces = 0

    def feed(self, data: bytes) -> bytes:
        self.pieces += data.count(b"\n\n")
        return data

    def finish(self) -> bytes:
        return b"done"

    def fail(self, error: PaddockError) -> bytes:
        return b"error"


class Bill:
    def __init__(self, price: Price) -> None:
        self.price = price


class Request:
    def __init__(self, hold: Hold | None, price: Price | None = None) -> None:
        self.hold = hold
        self.bill = Bill(price or Price(completion=COST * 10**6))


def metered(stream: Stream, request: Any) -> Any:
    return metered_translator(stream, new_meter(request, [stream]))


def until_spent(fed: Any, at_once: int = 1) -> int:
    """How many events are passed on before it is told that nothing is left."""
    passed = 0
    for _ in range(1000):
        try:
            passed += fed.feed(EVENT * at_once).count(b"\n\n")
        except BudgetSpent:
            return passed
    raise AssertionError("it goes on for ever")


class TestMetered:
    @pytest.mark.parametrize("at_once", [1, 7])
    def test_a_stream_ends_when_nothing_is_left(self, at_once: int) -> None:
        stream = Stream()
        passed = until_spent(metered(stream, Request(Hold(budget=100 * COST))), at_once)
        assert 100 <= passed <= 100 + at_once
        assert stream.pieces <= passed + at_once

    def test_what_comes_after_that_only_counts(self) -> None:
        stream = Stream()
        fed = metered(stream, Request(Hold(budget=2 * COST)))
        until_spent(fed)
        before = stream.pieces
        assert fed.feed(EVENT) == b""
        assert stream.pieces == before + 1

    def test_not_every_token_is_looked_at_while_there_is_plenty(self) -> None:
        hold = Hold(budget=10**9)
        fed = metered(Stream(), Request(hold))
        for _ in range(1000):
            fed.feed(EVENT)
        assert hold.charges < 1000 / AHEAD * 4

    def test_what_is_reserved_costs_no_look(self) -> None:
        hold = Hold(budget=10**9, reserved=1000 * COST)
        fed = metered(Stream(), Request(hold))
        for _ in range(500):
            fed.feed(EVENT)
        assert hold.charges == 0 or hold.reserved == 1000 * COST

    @pytest.mark.parametrize("request_", [Request(None), Request(Hold(5), Price())], ids=["no hold", "free"])
    def test_where_nothing_is_charged_nothing_stands_between(self, request_: Request) -> None:
        stream = Stream()
        if request_.hold is not None:
            request_.hold.metered = False
        assert metered(stream, request_) is stream
