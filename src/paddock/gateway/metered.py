"""Charges an answer as it comes, and ends it when nothing is left to pay for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from paddock.errors import BudgetSpent
from paddock.gateway.collect import Collector
from paddock.gateway.counting import Counted
from paddock.gateway.http import Request
from paddock.gateway.limit_holds import Hold, LaneHold
from paddock.gateway.limit_lanes import Lane
from paddock.inference.relay import Collecting, Translator
from paddock.services.prices import FREE, MILLION, Price

AHEAD = 32
"""Tokens that are paid for before they come, so that not each of them is looked at."""


class FedTranslator(Counted, Translator, Protocol): ...


class Meter:
    """Of one request.

    Args:
        parts: of the answer, one for each request to the engine; each is fed by itself.
        choices_each: how many of them have the same prompt, which counts once.
    """

    __slots__ = (
        "_ahead",
        "_choices_each",
        "_covered",
        "_events",
        "_hold",
        "_over",
        "_parts",
        "_price",
        "_spent",
    )

    def __init__(
        self, hold: Hold | LaneHold, price: Price, parts: Sequence[Counted], choices_each: int
    ) -> None:
        self._hold = hold
        self._price = price
        self._parts = parts
        self._choices_each = choices_each
        self._spent: BudgetSpent | None = None
        self._over = False
        self._ahead = price.cost(0, 0, AHEAD)
        # Events that came, and those that may come before it must be looked what they cost: few engines put
        # more than one token into one.
        self._events = self._covered = 0
        self._cover(0)

    def pays(self, data: bytes) -> bool:
        """This came. Whether it goes on to the caller: what the engine sends until it knows that it is to
        stop only counts.

        Raises:
            BudgetSpent: what came before could just be paid; once.
        """
        self._events += data.count(b"\n\n") or data.count(b"\r\n\r\n")
        return True if self._events < self._covered else self._look()

    def _look(self) -> bool:
        if self._over:
            return False
        if self._spent is not None:
            self._over = True
            raise self._spent
        prompt = sum(part.prompt_tokens for part in self._parts) // self._choices_each
        completion = sum(part.pieces for part in self._parts)
        cost = self._price.cost(prompt, 0, completion)
        try:
            self._hold.charge(cost)
        except BudgetSpent as error:
            self._spent = error
            return True
        # Near the end there is nothing in hand for that, and every token is looked at.
        self._hold.reserve(cost + self._ahead)
        self._cover(cost)
        return True

    def _cover(self, cost: int) -> None:
        """What is reserved beyond that cost is good for so many tokens more."""
        self._covered = self._events + (self._hold.reserved - cost) * MILLION // (self._price.completion or 1)


def new_meter(request: Request, parts: Sequence[Counted], choices_each: int = 1) -> Meter | None:
    """What charges the parts of an answer, which may still become more; None if nothing is to be charged."""
    hold, bill = request.hold, request.bill
    if bill is None or bill.price is FREE or hold is None or isinstance(hold, Lane) or not hold.metered:
        return None
    return Meter(hold, bill.price, parts, choices_each)


def metered_translator(inner: FedTranslator, meter: Meter | None) -> Translator:
    """What charges the stream that `inner` translates; `inner` itself without a meter."""
    return inner if meter is None else _MeteredTranslator(inner, meter)


def metered_collectors(collectors: Sequence[Collector], meter: Meter | None) -> Sequence[Collecting]:
    """The same for the parts of a whole answer."""
    return collectors if meter is None else [_MeteredCollector(one, meter) for one in collectors]


class _MeteredTranslator:
    """A `paddock.inference.relay.Translator`."""

    def __init__(self, inner: FedTranslator, meter: Meter) -> None:
        self._feed = inner.feed
        self._pays = meter.pays
        self.restart = inner.restart
        self.finish = inner.finish
        self.fail = inner.fail

    def feed(self, data: bytes) -> bytes:
        out = self._feed(data)
        return out if self._pays(data) else b""


class _MeteredCollector:
    """A `paddock.inference.relay.Collecting`."""

    def __init__(self, inner: Collector, meter: Meter) -> None:
        self._feed = inner.feed
        self._pays = meter.pays
        self.restart = inner.restart

    def feed(self, data: bytes) -> None:
        self._feed(data)
        self._pays(data)
