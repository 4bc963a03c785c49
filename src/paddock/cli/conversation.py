"""What was said so far, and the next answer to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paddock.cli.server import Answer, Server


class Conversation:
    """Turns of a user and a model.

    Attributes:
        system: what the model is told before all turns; it may change between turns.
    """

    def __init__(
        self, server: Server, model: str, options: dict[str, Any], system: str | None = None
    ) -> None:
        self.server = server
        self.model = model
        self.system = system
        self._options = options
        self._turns: list[dict[str, Any]] = []

    def say(self, message: str, show: Callable[[str, bool], None]) -> Answer:
        """The model's answer to `message`.

        Both become part of the conversation, a stopped answer as far as it came. After an error neither
        does, so that the same can be said again.

        Raises:
            PaddockError: the request failed.
        """
        turns = [*self._turns, {"role": "user", "content": message}]
        told = [{"role": "system", "content": self.system}] if self.system else []
        answer = self.server.chat(self.model, told + turns, self._options, show)
        if answer.text:
            self._turns = [*turns, {"role": "assistant", "content": answer.text}]
        return answer

    def reset(self) -> None:
        self._turns = []
