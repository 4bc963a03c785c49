"""What a fine-tune has measured, from its events."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]
STEP, EVALUATED = "step", "evaluated"
"""Kinds of events that have numbers."""


@dataclass
class Losses:
    """Grows with the events that it takes.

    Attributes:
        training, validation: means over tokens, in nats, by the step that they were measured at.
        rate: rows/s of late; None while that is not known.
        last: id of the newest event.
    """

    training: dict[int, float] = field(default_factory=dict)
    validation: dict[int, float] = field(default_factory=dict)
    rate: float | None = None
    last: int = 0
    _left: tuple[int, float] | None = None

    def take(self, events: Iterable[JSON]) -> None:
        """Takes further events, the oldest first. A step that was taken again counts as it was then."""
        for event in events:
            self.last = max(self.last, int(event["id"]))
            data = event.get("data") or {}
            if event["kind"] not in (STEP, EVALUATED) or not data:
                continue
            step, loss = int(data["step"]), data["loss"]
            known = self.training if event["kind"] == STEP else self.validation
            if loss is not None and math.isfinite(loss):
                known[step] = float(loss)
            if event["kind"] == STEP:
                self.rate = data.get("rate")
                left = data.get("seconds_left")
                self._left = (step, float(left)) if left is not None else None

    def seconds_left(self, done: int, total: int) -> float | None:
        """Of learning, after `done` of `total` steps; None while that is not known.

        Not every step has an event: the time is that of the last one that has, less its share.
        """
        if self._left is None:
            return None
        step, left = self._left
        return left * (total - done) / (total - step) if total > max(done, step) else 0.0

    @property
    def furthest(self) -> int:
        """The last step that something was measured at; 0 before the first."""
        return max((*self.training, *self.validation), default=0)

    def __bool__(self) -> bool:
        return bool(self.training or self.validation)


def newest(losses: dict[int, float]) -> float | None:
    """That of the last step."""
    return losses[max(losses)] if losses else None
