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
        self._over = False

    def pays(self) -> bool:
        """Something came, and what there is by now is charged. Whether it goes on to the caller: what the
        engine sends until it knows that it is to stop only counts.

        Raises:
            BudgetSpent: what came before could just be paid; once.
        """
        if self._over:
            return False
        if self._spent is not None:
            self._over = True
            raise self._spent
        if self._hold is None or self._price is None:
            return True
        prompt = sum(part.prompt_tokens for part in self._parts) // self._choices_each
        completion = sum(part.pieces for part in self._parts)
        try:
            self._hold.charge(prompt + completion, self._price.cost(prompt, 0, completion))
        except BudgetSpent as error:
            self._spent = error
        return True


class MeteredTranslator:
    """A `paddock.inference.relay.Translator`."""

    def __init__(self, inner: FedTranslator, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter
        self.restart = inner.restart
        self.finish = inner.finish

    def feed(self, data: bytes) -> bytes:
        out = self._inner.feed(data)
        return out if self._meter.pays() else b""

    def fail(self, error: PaddockError) -> bytes:
        return self._inner.fail(error)


class MeteredCollector:
    """A `paddock.inference.relay.Collecting`."""

    def __init__(self, inner: FedCollector, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter
        self.restart = inner.restart

    def feed(self, data: bytes) -> None:
        self._inner.feed(data)
        self._meter.pays()
