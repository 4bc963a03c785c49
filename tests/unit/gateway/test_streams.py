"""Translation of event streams: pure, bytes in and bytes out, whatever the boundaries."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from bench import answers
from paddock.errors import EngineFailed, EngineTimeout, PaddockError
from paddock.gateway.openai.streams import Relayed, Rewritten
from paddock.gateway.sse import DONE, parse_event, prompt_progress

WHOLE = b"".join(answers.events("chat", 6, include_usage=True))
WITHOUT = b"".join(answers.events("chat", 6))


def relay(translator: Relayed | Rewritten, data: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    return b"".join([translator.feed(piece) for piece in pieces if piece]) + translator.finish()


def same(chunk: dict[str, Any], offsets: dict[int, int]) -> dict[str, Any]:
    return chunk


class TestRelayed:
    def test_one_cut_at_every_byte(self) -> None:
        for cut in range(len(WHOLE)):
            translator = Relayed(include_usage=False)
            assert relay(translator, WHOLE, [cut]) == WITHOUT
            assert translator.usage == answers.usage(6)
            assert translator.pieces == 6

    def test_one_cut_at_every_byte_with_crlf(self) -> None:
        data = WHOLE.replace(b"\n", b"\r\n")
        for cut in range(len(data)):
            assert relay(Relayed(include_usage=True), data, [cut]) == WHOLE

    def test_many_cuts(self) -> None:
        dice = random.Random(1)
        for _ in range(200):
            cuts = [dice.randrange(len(WHOLE)) for _ in range(dice.randrange(1, 60))]
            assert relay(Relayed(include_usage=True), WHOLE, cuts) == WHOLE

    def test_whole_events_go_on_at_once_and_half_ones_wait(self) -> None:
        translator = Relayed(include_usage=False)
        first, second = answers.events("chat", 2)[:2]
        assert translator.feed(first + second[:10]) == first
        assert translator.feed(second[10:-1]) == b""
        assert translator.feed(second[-1:]) == second

    def test_tokens_are_not_parsed(self) -> None:
        """The hot path: an event that has nothing to count passes as bytes, JSON or not."""
        odd = b'data: {"not JSON\n\n'
        assert Relayed(include_usage=False).feed(odd) == odd
        null = b'data: {"choices":[{}],"usage":null}\n\n'
        assert Relayed(include_usage=False).feed(null) == null

    def test_prompt_progress_is_left_out_and_noted(self) -> None:
        translator = Relayed(include_usage=False)
        progress = b'data: {"choices":[{}],"prompt_progress":{"total":11}}\n\n'
        token = answers.events("chat", 1)[0]
        assert translator.feed(progress + token) == token
        assert (translator.prompt_tokens, translator.pieces) == (11, 1)

    def test_the_model_is_renamed_with_any_spacing(self) -> None:
        for space in (b"", b" "):
            event = b'data: {"model":' + space + b'"a\\"b","choices":[]}\n\n'
            assert Relayed(False, ('a"b', "c\\d")).feed(event) == b'data: {"model":"c\\\\d","choices":[]}\n\n'

    @pytest.mark.parametrize("cut", range(1, 40))
    def test_a_stream_that_stops_without_an_end_is_no_answer(self, cut: int) -> None:
        translator = Relayed(include_usage=False)
        translator.feed(b"".join(answers.events("chat", 3)[:2])[:-cut])
        with pytest.raises(EngineFailed):
            translator.finish()

    def test_its_last_words(self) -> None:
        event = Relayed(include_usage=False).fail(EngineTimeout("too slow"))
        assert json.loads(event[6:])["error"] == {
            "message": "too slow",
            "type": "server_error",
            "param": None,
            "code": "engine_timeout",
        }


class TestRewritten:
    def test_one_cut_at_every_byte(self) -> None:
        for data in (WHOLE, WHOLE.replace(b"\n", b"\r\n")):
            expected = relay(Rewritten(same), data, [])
            for cut in range(len(data)):
                translator = Rewritten(same)
                assert relay(translator, data, [cut]) == expected
                assert translator.usage == answers.usage(6)

    def test_offsets_count_the_text_sent_before_by_choice(self) -> None:
        seen: list[dict[int, int]] = []

        def note(chunk: dict[str, Any], offsets: dict[int, int]) -> dict[str, Any]:
            seen.append(dict(offsets))
            return chunk

        translator = Rewritten(note)
        for index, text in ((0, "ab"), (1, "é"), (0, "c"), (1, "d")):
            choice = {"index": index, "text": text, "finish_reason": None}
            translator.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        assert seen == [{}, {0: 2}, {0: 2, 1: 1}, {0: 3, 1: 1}]

    def test_the_held_chunk_is_not_lost_when_the_engine_fails_after_it(self) -> None:
        translator = Rewritten(same, hold_last=True)
        finish = answers.events("chat", 1)[1]
        assert translator.feed(finish) == b""
        first, second, rest = translator.fail(EngineFailed("gone")).split(b"\n\n")
        assert (b'"finish_reason":"stop"' in first, b'"error"' in second, rest) == (True, True, b"")


class TestEvents:
    @pytest.mark.parametrize(
        "event", [b"data: [DONE]", b": comment", b"event: x\nid: 5", b"retry: 1", b"data:"]
    )
    def test_what_has_no_object(self, event: bytes) -> None:
        assert parse_event(event) is None

    @pytest.mark.parametrize(
        "event", [b'data: {"a":1}', b'data:{"a":1}', b'event: x\ndata: {"a":1}', b'data: {"a":\ndata: 1}']
    )
    def test_every_way_to_write_one(self, event: bytes) -> None:
        assert parse_event(event) == {"a": 1}

    @pytest.mark.parametrize(
        ("event", "kind"),
        [
            (b"data: {", EngineFailed),
            (b"data: [1]", EngineFailed),
            (b'data: {"error":{"message":"x","code":429}}', PaddockError),
            (b'error: {"message":"x"}', EngineFailed),
            (b'data: {"error":"just words"}', EngineFailed),
        ],
    )
    def test_errors(self, event: bytes, kind: type[PaddockError]) -> None:
        with pytest.raises(kind):
            parse_event(event)

    def test_progress(self) -> None:
        assert prompt_progress({"prompt_progress": {"total": 5}}) == 5
        assert prompt_progress({"prompt_progress": None}) is None
        assert DONE == b"data: [DONE]\n\n"
