from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator

import pytest

from paddock.errors import InvalidRequest
from paddock.services import lines as module
from paddock.services.lines import lines, rows


def cut(text: bytes, chance: random.Random) -> Iterator[bytes]:
    """In pieces of any length, empty ones too."""
    while text:
        size = chance.choice((0, 1, 1, 2, 3, 10, 50))
        yield text[:size]
        text = text[size:]


async def pieces(found: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in found:
        yield piece


def text_of(chance: random.Random) -> bytes:
    words = (b"", b" ", b"\r", b"{}", b"a" * 30, "ü€".encode(), b"\t ")
    text = b"\n".join(chance.choice(words) for _ in range(chance.randrange(12)))
    return text + chance.choice((b"", b"\n"))


class TestLines:
    @pytest.mark.parametrize("seed", range(60))
    async def test_does_not_depend_on_the_pieces(self, seed: int) -> None:
        chance = random.Random(seed)
        text = text_of(chance)
        found = [one async for one in lines(pieces(cut(text, chance)))]
        expected = text.split(b"\n")
        if not expected[-1]:
            expected.pop()
        assert [line for _, line in found] == expected
        begin = 0
        for after, line in found:
            assert text[begin:after].rstrip(b"\n") == line.rstrip(b"\n")
            begin = after
        assert begin == len(text)

    async def test_refuses_a_line_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "LONGEST_LINE", 10)
        found = lines(pieces(iter([b"ok\n12345", b"67890", b"1"])))
        assert await anext(found) == (3, b"ok")
        with pytest.raises(InvalidRequest) as refused:
            await anext(found)
        assert refused.value.code == "line_too_long"


class TestRows:
    @pytest.mark.parametrize("seed", range(40))
    async def test_can_be_gone_on_from_behind_any_row(self, seed: int) -> None:
        chance = random.Random(seed)
        text = text_of(chance)
        every = [one async for one in rows(pieces(cut(text, chance)), 0, 0)]
        assert [row for _, _, row in every] == [line for line in text.split(b"\n") if line.strip()]
        assert [number for number, _, _ in every] == list(range(len(every)))
        for done, (number, offset, _) in enumerate(every, 1):
            rest = [one async for one in rows(pieces(cut(text[offset:], chance)), number + 1, offset)]
            assert rest == every[done:]
