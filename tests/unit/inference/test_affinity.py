from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from paddock.inference import affinity
from paddock.inference.affinity import LONGEST, SHORTEST, SLACK, Affinity, prompt_of


@dataclass(eq=False)
class Engine:
    name: str
    in_flight: int = 0


def body(prompt: str) -> bytes:
    return json.dumps({"model": "m", "prompt": prompt}, separators=(",", ":")).encode()


LONG = "Once upon a time there was a foal. " * 30


class TestChoose:
    def test_without_anything_known_the_least_busy(self) -> None:
        a, b = Engine("a", 2), Engine("b", 1)
        assert Affinity().choose(body("hi"), [a, b]) is b

    def test_the_one_that_knows_the_beginning(self) -> None:
        known, a, b = Affinity(), Engine("a"), Engine("b", 1)
        assert known.choose(body(LONG + "one"), [a, b]) is a
        a.in_flight = SLACK + 1
        assert known.choose(body(LONG + "two"), [a, b]) is a

    def test_unless_it_is_too_busy_and_then_the_other_learns_it(self) -> None:
        known, a, b = Affinity(), Engine("a"), Engine("b")
        known.choose(body(LONG + "one"), [a])
        a.in_flight = SLACK + 1
        assert known.choose(body(LONG + "two"), [a, b]) is b
        a.in_flight = 0
        assert known.choose(body(LONG + "three"), [a, b]) is b

    def test_a_little_in_common_is_not_enough(self) -> None:
        known, a, b = Affinity(), Engine("a"), Engine("b")
        shared = "x" * SHORTEST
        known.choose(body(shared + "y" * 1000), [a])
        a.in_flight = 1
        assert known.choose(body(shared + "z" * 1000), [a, b]) is b

    def test_the_gone_are_not_chosen(self) -> None:
        known, a, b = Affinity(), Engine("a", 1), Engine("b")
        known.choose(body(LONG), [a])
        assert known.choose(body(LONG), [b]) is b
        known.choose(body(LONG), [a])
        known.forget(a)
        assert known.choose(body(LONG), [a, b]) is b
        assert a not in known._seen.values()

    def test_short_prompts_go_to_the_least_busy(self) -> None:
        known, a, b = Affinity(), Engine("a"), Engine("b")
        known.choose(b'{"prompt":"hi"}', [a])
        a.in_flight = 1
        assert known.choose(b'{"prompt":"hi"}', [a, b]) is b

    def test_it_remembers_only_so_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(affinity, "REMEMBERED", 20)
        known, a, b = Affinity(), Engine("a"), Engine("b")
        known.choose(body(LONG), [a])
        for number in range(30):
            known.choose(body(f"{number} " + "w" * 200), [a])
        assert len(known._seen) == 20
        a.in_flight = 1
        assert known.choose(body(LONG), [a, b]) is b

    def test_equals_take_turns(self) -> None:
        known, a, b = Affinity(), Engine("a"), Engine("b")
        chosen = [known.choose(b"{}", [a, b]) for _ in range(10)]
        assert (chosen.count(a), chosen.count(b)) == (5, 5)


class TestPromptOf:
    @pytest.mark.parametrize(
        ("fields", "begins"),
        [
            ({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, b'"messages":[{'),
            ({"model": "m", "prompt": 'say "messages":'}, b'"prompt":"say'),
            ({"input": "x"}, b""),
        ],
    )
    def test_it_begins_with_what_is_asked(self, fields: dict[str, Any], begins: bytes) -> None:
        prompt = prompt_of(json.dumps(fields, separators=(",", ":")).encode())
        assert prompt.startswith(begins)
        assert bool(prompt) == bool(begins)

    def test_of_a_long_one_the_beginning(self) -> None:
        assert len(prompt_of(body("x" * 3 * LONGEST))) == LONGEST
