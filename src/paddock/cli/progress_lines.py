"""How far a job is where there is no terminal: a line now and then."""

from __future__ import annotations

import time
from typing import Protocol, TypeVar

from paddock.cli.output import remark

LINE_SECONDS = 10.0
"""Time between two lines about the same phase."""


class Standing(Protocol):
    """How far a job is; as a text, what there is to be told of the phase."""

    @property
    def phase(self) -> str:
        """What the server does: `answering`."""

    @property
    def note(self) -> str:
        """What is told as soon as it changes, as a phase is; it is a part of the text."""


Shown = TypeVar("Shown", bound=Standing, contravariant=True)


class Display(Protocol[Shown]):
    """Shows how a job goes on."""

    def show(self, standing: Shown) -> None: ...

    def say(self, text: str) -> None:
        """A line that stays, for what happens on the way."""


class Lines:
    """A line for each phase that begins, and now and then one about a phase that takes long."""

    def __init__(self) -> None:
        self._told = ("", "")
        self._at = 0.0

    def show(self, standing: Standing) -> None:
        now, text = time.monotonic(), str(standing)
        telling = (standing.phase, standing.note)
        if telling != self._told or (text and now - self._at >= LINE_SECONDS):
            self._told, self._at = telling, now
            remark(f"{standing.phase}: {text}" if text else standing.phase)

    def say(self, text: str) -> None:
        remark(text)
