"""Sets of characters, held against Python's own `re` and `str`."""

from __future__ import annotations

import re

import pytest

from paddock.engines.llama_cpp.grammars.characters import (
    LAST,
    WRITABLE,
    any_case,
    characters,
    complement,
    intersection,
    ranges,
    unicode_class,
    union,
)


class TestSets:
    def test_ranges_are_sorted_and_apart(self) -> None:
        assert ranges([(5, 9), (1, 2), (3, 3), (7, 12), (20, 20)]) == ((1, 3), (5, 12), (20, 20))
        assert characters("cabx") == ((97, 99), (120, 120))

    def test_complement_is_its_own_inverse(self) -> None:
        for one in ((), ((0, LAST),), ((0, 3), (9, 9)), ((5, LAST),), WRITABLE):
            assert complement(complement(one)) == one

    def test_union_and_intersection(self) -> None:
        assert union(((1, 3),), ((2, 5), (9, 9))) == ((1, 5), (9, 9))
        assert intersection(((1, 5), (9, 12)), ((3, 10),)) == ((3, 5), (9, 10))


class TestClasses:
    @pytest.mark.parametrize("escape", [r"\d", r"\s", r"\w"])
    def test_they_are_python_s(self, escape: str) -> None:
        found = unicode_class(escape)
        for text in ("a1_ \n", "é٣\u2003", "🐴-\x1c"):
            for character in text:
                inside = any(first <= ord(character) <= last for first, last in found)
                assert inside == bool(re.fullmatch(escape, character)), character


class TestCase:
    def test_it_is_python_s_for_every_character(self) -> None:
        everything = "".join(map(chr, range(LAST + 1)))
        cased = [character for character in everything if character.swapcase() != character]
        assert len(cased) > 2500
        for character in cased:
            found = "".join(
                chr(code) for pair in any_case(characters(character)) for code in range(pair[0], pair[1] + 1)
            )
            assert re.fullmatch(f"(?i:{re.escape(character)})+", found), character
        pattern = re.compile("[ksåßıi]", re.IGNORECASE)
        assert any_case(characters("ksåßıi")) == ranges(
            (found.start(), found.start()) for found in pattern.finditer(everything)
        )
