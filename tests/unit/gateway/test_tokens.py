"""Which events of a stream hold a token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import answers
from paddock.gateway.tokens import Tokens, holds_token

DELTAS: list[tuple[dict[str, Any], int]] = [
    ({"role": "assistant", "content": None}, 0),
    ({"role": "assistant", "content": ""}, 0),
    ({"role": "assistant", "content": "A"}, 1),
    ({"content": '"content":"" \n\n "text":""'}, 1),
    ({"content": '"'}, 1),
    ({"reasoning_content": "so"}, 1),
    ({"content": None, "reasoning_content": "so"}, 1),
    ({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}]}, 0),
    ({"tool_calls": [{"index": 0, "function": {"arguments": '{"text":"x"'}}]}, 1),
    ({}, 0),
]


def event(choices: list[dict[str, Any]], *, spaced: bool = False) -> bytes:
    separators = None if spaced else (",", ":")
    return b"data: " + json.dumps({"choices": choices}, separators=separators).encode() + b"\n\n"


def count(*datas: bytes) -> int:
    tokens = Tokens()
    for data in datas:
        tokens.add(data)
    return tokens.total()


class TestTokens:
    @pytest.mark.parametrize("copies", [1, 100])
    def test_long_streams_are_counted_as_they_come_and_as_often_as_one_asks(self, copies: int) -> None:
        tokens = Tokens()
        for number in range(1, 1001):
            tokens.add(event([{"text": "a"}]) * copies)
            if number % 300 == 0:
                assert tokens.total() == tokens.total() == number * copies
        assert tokens.total() == 1000 * copies

    @pytest.mark.parametrize("spaced", [False, True])
    def test_one_event_at_a_time_and_all_at_once(self, spaced: bool) -> None:
        events = [event([{"index": 0, "delta": delta}], spaced=spaced) for delta, _ in DELTAS]
        assert [count(one) for one in events] == [expected for _, expected in DELTAS]
        assert count(b"".join(events)) == sum(expected for _, expected in DELTAS)

    @pytest.mark.parametrize("kind", [answers.CHAT, answers.TEXT])
    def test_a_stream_with_its_end(self, kind: str) -> None:
        events = answers.events(kind, 5, include_usage=True)
        assert [count(one) for one in events] == [1] * 5 + [0] * 3

    def test_several_choices_in_an_event(self) -> None:
        both = event([{"index": 0, "text": "a"}, {"index": 1, "text": "b"}])
        assert count(both, both, both + both) == 8

    def test_the_last_token_may_come_with_the_reason_for_the_end(self) -> None:
        assert count(event([{"index": 0, "text": "a", "finish_reason": "stop"}])) == 1

    def test_comments_are_none(self) -> None:
        assert count(b": ping\n\n") == 0


@pytest.mark.parametrize(("delta", "expected"), DELTAS)
def test_of_a_parsed_choice(delta: dict[str, Any], expected: int) -> None:
    assert holds_token({"index": 0, "delta": delta}) == bool(expected)
