"""Charges an answer as it comes, and ends it when nothing is left to pay for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from paddock.errors import BudgetSpent, PaddockError
from paddock.gateway.counting import Counted
from paddock.gateway.http import Request
from paddock.inference.relay import Translator
from paddock.inference.routing import Deployment


class Fed(Counted, Protocol):
    """A part of an answer that takes an engine's stream in."""

    def restart(self) -> None: ...


class FedTranslator(Fed, Translator, Protocol): ...


class FedCollector(Fed, Protocol):
    def feed(self, data: bytes) -> None: ...


class Meter:
    """Of one request.

    Args:
        parts: of the answer, one for each request to the engine; each is fed by itself.
        choices_each: how many of them have the same prompt, which counts once.
    """

    def __init__(
        self, request: Request, deployment: Deployment, parts: Sequence[Counted], choices_each: int = 1
    ) -> None:
        self._hold = request.hold
        self._price = request.accounts.price(deployment) if request.accounts is not None else None
        self._parts = parts
        self._choices_each = choices_each
        self._spent: BudgetSpent | None = None

    def before(self) -> None:
        """
        Raises:
            BudgetSpent: what came last could just be paid, and no more.
        """
        if self._spent is not None:
            raise self._spent

    def after(self) -> None:
        """Something came: what there is by now is charged. It is still sent on."""
        if self._hold is None or self._price is None:
            return
        prompt = sum(part.prompt_tokens for part in self._parts) // self._choices_each
        completion = sum(part.pieces for part in self._parts)
        try:
            self._hold.charge(prompt + completion, self._price.cost(prompt, 0, completion))
        except BudgetSpent as error:
            self._spent = error


class MeteredTranslator:
    """A `paddock.inference.relay.Translator`."""

    def __init__(self, inner: FedTranslator, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter
        self.restart = inner.restart
        self.finish = inner.finish

    def feed(self, data: bytes) -> bytes:
        self._meter.before()
        out = self._inner.feed(data)
        self._meter.after()
        return out

    def fail(self, error: PaddockError) -> bytes:
        return self._inner.fail(error)


class MeteredCollector:
    """A `paddock.inference.relay.Collecting`."""

    def __init__(self, inner: FedCollector, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter
        self.restart = inner.restart

    def feed(self, data: bytes) -> None:
        self._meter.before()
        self._inner.feed(data)
        self._meter.after()
