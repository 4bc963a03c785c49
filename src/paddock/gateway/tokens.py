"""Tells the events of an engine's stream that hold a token from those that do not.

Engines send an event for each token, and others beside: one that says the role, one with the reason for the
end, the usage. Only a stream that is cut off is counted so; a whole one brings its usage.
"""

from __future__ import annotations

import re
from typing import Any

JSON = dict[str, Any]
_KEYS = ("content", "text", "reasoning_content", "reasoning")
_TOKEN = re.compile(rb'"(?:content|text|reasoning_content|reasoning|arguments)":\s*"[^"]')
"""In a JSON string the quotes would be escaped, so this matches keys only."""
_AT_ONCE = 256
_MOST = 2**31 - 1
_LARGE = 4096


class Tokens:
    """Counts tokens in the bytes of whole events: not before somebody asks, as long as there are few."""

    __slots__ = ("_counted", "_uncounted")

    def __init__(self) -> None:
        self._counted = 0
        self._uncounted: list[bytes] = []

    def add(self, data: bytes) -> None:
        self._uncounted.append(data)
        if len(data) > _LARGE or len(self._uncounted) == _AT_ONCE:
            self.total()

    def total(self) -> int:
        if self._uncounted:
            self._counted += sum([len(_TOKEN.findall(data)) for data in self._uncounted])
            self._uncounted.clear()
        return self._counted


def number(value: Any) -> int:
    """A count of tokens as an engine tells it; 0 if it is none: servers of others' send what they like."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MOST else 0


def holds_token(choice: JSON) -> bool:
    """Whether this choice of a parsed chunk has anything that was generated."""
    said = choice.get("delta") or choice
    if any(said.get(key) for key in _KEYS):
        return True
    calls = said.get("tool_calls") or ()
    return any((call.get("function") or {}).get("arguments") for call in calls)
