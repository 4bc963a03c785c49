"""Outputs of completions and the events of streams: pure, bytes in and bytes out, whatever the boundaries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paddock.errors import EngineFailed
from paddock.gateway.llm_engine.outputs import Events, output, tokens
from tests.api.scripted import event

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def entry(text: str, own: str | None = None, id: int = 5) -> dict[str, Any]:
    """A token as llama.cpp tells it; `own` is its text among the likeliest."""
    tops = [{"id": 4, "token": "other", "logprob": -2.0}]
    if own is not None:
        tops.append({"id": id, "token": own, "logprob": -0.5})
    return {"id": id, "token": text, "bytes": list(text.encode()), "logprob": -0.5, "top_logprobs": tops}


def piece(text: str, count: int, logprobs: list[dict[str, Any]] | None = None, **more: Any) -> bytes:
    choice = {"text": text, "index": 0, "logprobs": logprobs and {"content": logprobs}, "finish_reason": None}
    return event({"choices": [choice], "timings": {"predicted_n": count}, **more})


def end(reason: str = "stop", stop: str | None = None) -> bytes:
    choice = {"text": "", "index": 0, "logprobs": None, "finish_reason": reason}
    named = {} if stop is None else {"__verbose": {"stopping_word": stop}}
    return event({"choices": [choice], "usage": USAGE, **named}) + b"data: [DONE]\n\n"


PROGRESS = event({"choices": [{"text": "", "index": 0}], "prompt_progress": {"total": 7}})


def read(data: bytes) -> list[dict[str, Any]]:
    """Outputs of events; each has the request's id and no error."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        parsed = json.loads(block.removeprefix("data: "))
        assert set(parsed) == {"request_id", "output", "error"}
        assert (parsed["request_id"], parsed["error"]) == ("r", None)
        found.append(parsed["output"])
    return found


def relayed(*events: bytes, limit: int = 10, with_tokens: bool = False) -> list[dict[str, Any]]:
    translator = Events("r", limit, with_tokens=with_tokens)
    return read(b"".join(map(translator.feed, events)) + translator.finish())


class TestEvents:
    def test_a_token_goes_on_at_once_and_the_end_says_the_counts(self) -> None:
        translator = Events("r", 10, with_tokens=False)
        assert translator.feed(PROGRESS) == b""
        assert translator.prompt_tokens == 7
        (first,) = read(translator.feed(piece("Hi", 1)))
        assert first == {
            "text": "Hi",
            "finished": False,
            "num_prompt_tokens": None,
            "num_completion_tokens": 1,
            "token": None,
        }
        translator.feed(end())
        (last,) = read(translator.finish())
        assert (last["text"], last["finished"]) == ("", True)
        assert (last["num_prompt_tokens"], last["num_completion_tokens"]) == (7, 3)
        assert (translator.usage, translator.pieces) == (USAGE, 1)

    def test_the_last_token_that_there_can_be_is_the_last_event(self) -> None:
        outputs = relayed(piece("a", 1), piece("b", 2), piece("c", 3), end("length"), limit=3)
        assert [(one["text"], one["finished"]) for one in outputs] == [
            ("a", False),
            ("b", False),
            ("c", True),
        ]

    def test_any_boundaries(self) -> None:
        data = PROGRESS + piece("é", 1) + b": ping\r\n\r\n" + piece("b", 2) + end()
        whole = relayed(data)
        for cut in range(len(data)):
            assert relayed(data[:cut], data[cut:]) == whole

    def test_the_stop_sequence_stands_at_the_end(self) -> None:
        outputs = relayed(piece("a", 1), end(stop="END"))
        assert [one["text"] for one in outputs] == ["a", "END"]
        assert [one["text"] for one in relayed(piece("a", 1), end(stop=""))] == ["a", ""]

    def test_each_event_has_its_token(self) -> None:
        """Also where a stop sequence holds text back, and where the model ends its answer."""
        outputs = relayed(
            piece("a", 1, [entry("a", "a")]),
            piece("", 2, [entry("", "ar")]),
            piece("", 3, [entry("", "is")]),
            end(),
            with_tokens=True,
        )
        assert [one["token"]["token"] for one in outputs] == ["a", "ar", "is"]
        assert [one["finished"] for one in outputs] == [False, False, True]

    def test_what_is_left_of_a_stop_sequences_first_token(self) -> None:
        outputs = relayed(
            piece("", 1, [entry("", "ar")]), piece("a", 2, [entry("a", "is")]), end(), with_tokens=True
        )
        assert [(one["text"], one["token"]["token"]) for one in outputs] == [("", "ar"), ("a", "is")]

    def test_an_engine_in_openai_s_shapes(self) -> None:
        logprobs = {"tokens": ["a", "b"], "token_logprobs": [-1.0, None]}
        choice = {"text": "ab", "index": 0, "logprobs": logprobs, "finish_reason": "length"}
        data = event({"choices": [choice]}) + event({"choices": [], "usage": USAGE})
        outputs = relayed(data, b"data: [DONE]\n\n", with_tokens=True)
        assert [(one["text"], one["token"]) for one in outputs] == [
            ("", {"token": "a", "log_prob": -1.0}),
            ("ab", {"token": "b", "log_prob": -9999.0}),
        ]
        assert outputs[-1]["num_completion_tokens"] == 3

    def test_an_end_that_is_missing(self) -> None:
        translator = Events("r", 10, with_tokens=False)
        translator.feed(piece("a", 1))
        with pytest.raises(EngineFailed):
            translator.finish()

    def test_an_error_after_the_start(self) -> None:
        translator = Events("r", 1, with_tokens=False)
        translator.feed(piece("held", 1))
        held, failure, rest = translator.fail(EngineFailed("it died")).decode().split("\n\n")
        assert json.loads(held.removeprefix("data: "))["output"]["text"] == "held"
        parsed = json.loads(failure.removeprefix("data: "))
        assert (parsed["request_id"], parsed["output"], rest) == ("r", None, "")
        assert parsed["error"]["status_code"] == 502
        assert parsed["error"]["content"]["error"] == "it died"
        assert parsed["error"]["content"]["timestamp"]

    def test_another_engine_begins_anew(self) -> None:
        translator = Events("r", 1, with_tokens=False)
        translator.feed(PROGRESS + piece("lost", 1) + b"data: {")
        translator.restart()
        assert (translator.prompt_tokens, translator.pieces) == (0, 0)
        assert [
            one["text"] for one in read(translator.feed(piece("a", 1) + end()) + translator.finish())
        ] == ["a"]


class TestOutput:
    def test_whole(self) -> None:
        answer = {"choices": [{"text": "hi", "logprobs": None}], "usage": USAGE}
        assert output(answer, with_tokens=False) == {
            "text": "hi",
            "num_prompt_tokens": 7,
            "num_completion_tokens": 3,
            "tokens": None,
        }

    def test_tokens_have_their_own_texts(self) -> None:
        content = [entry("aris", "bia"), entry("é", "\ufffd"), entry("x"), entry("", "ar"), entry("", "")]
        assert [one["token"] for one in tokens({"content": content})] == ["bia", "é", "x", "ar", ""]

    def test_a_token_without_any_probability(self) -> None:
        assert tokens({"content": [{**entry("a"), "logprob": None}]}) == [{"token": "a", "log_prob": -9999.0}]

    def test_an_engine_that_tells_none(self) -> None:
        assert tokens(None) == tokens({"content": None}) == tokens({"tokens": None}) == []
