"""Where in a JSON schema something stands, for whoever has to correct it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from paddock.errors import InvalidRequest, UnsupportedParameter

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Attributes:
        param: the field that the schema came in.
        pointer: a JSON pointer; empty at the top.
    """

    param: str
    pointer: str = ""

    def at(self, *parts: str | int) -> Place:
        """A place within this one."""
        escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
        return Place(self.param, "/".join([self.pointer, *escaped]))

    def wrong(self, what: str) -> InvalidRequest:
        return InvalidRequest(f"{self.param}: at {self}: {what}", param=self.param)

    def unsupported(self, what: str) -> UnsupportedParameter:
        return UnsupportedParameter(
            f"{self.param}: at {self}: {what} cannot be honoured: no grammar says it", param=self.param
        )

    def __str__(self) -> str:
        return self.pointer[:200] or "its top"


def read_list(value: Any, place: Place, least: int = 1) -> list[Any]:
    """
    Raises:
        InvalidRequest: it is no list, or shorter.
    """
    if not isinstance(value, list) or len(value) < least:
        raise place.wrong("it must be a list" + (" that is not empty" if least else ""))
    return value


def read_bounds(schema: JSON, least: str, most: str, place: Place) -> tuple[int, int | None]:
    """Two keywords that count something.

    Raises:
        InvalidRequest: one is no whole number, or they leave nothing.
    """
    low, high = schema.get(least, 0), schema.get(most)
    for name, value in ((least, low), (most, high)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and (not whole or value < 0):
            raise place.at(name).wrong(f"it must be a whole number, not {str(value)[:40]!r}")
    if high is not None and low > high:
        raise place.wrong(f"{least} is more than {most}")
    return low, high
