"""What readers of a grammar's text share: where they are, and how they say what is wrong there."""

from __future__ import annotations

from paddock.engines.llama_cpp.grammars.limits import MOST_TEXT
from paddock.errors import InvalidRequest, UnsupportedParameter

MOST_NESTED = 60
"""Brackets within brackets: nobody writes more, and the readers call themselves for each."""


class Scanner:
    """The text of a grammar, and the field that it came in."""

    def __init__(self, text: str, param: str) -> None:
        self.text = text
        self.param = param
        if len(text) > MOST_TEXT:
            raise InvalidRequest(
                f"{param} has {len(text)} characters; at most {MOST_TEXT} are taken", param=param
            )

    def invalid(self, reason: str, at: int) -> InvalidRequest:
        """An error about the character at the index `at`."""
        return InvalidRequest(f"{self.param}: {self.place(at)}: {reason}", param=self.param)

    def unsupported(self, reason: str, at: int) -> UnsupportedParameter:
        return UnsupportedParameter(f"{self.param}: {self.place(at)}: {reason}", param=self.param)

    def place(self, at: int) -> str:
        line = self.text.count("\n", 0, at) + 1
        return f"line {line}, column {at - self.text.rfind(chr(10), 0, at)}"

    def check_repetition(self, least: int, most: int | None, at: int) -> None:
        if most is not None and most < least:
            raise self.invalid(f"at least {least} and at most {most} times is never", at)
