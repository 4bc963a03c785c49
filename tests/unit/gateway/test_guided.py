"""What vLLM's users ask for by its names, as llama.cpp is sent it."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.engines.llama_cpp import stops
from tests.unit.gateway.test_parameters import CHAT, TEXT, TOOLS, hosted, planned, refusal, sent

SCHEMA = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
GUIDED: dict[str, Any] = {
    "guided_json": SCHEMA,
    "guided_regex": "Sean.*",
    "guided_choice": ["dog", "cat"],
    "guided_grammar": 'start: "John"',
}


class TestGuided:
    @pytest.mark.parametrize("body", [CHAT, TEXT])
    @pytest.mark.parametrize("name", GUIDED)
    async def test_each_is_a_grammar(self, body: dict[str, Any], name: str) -> None:
        asked = await sent(body, **{name: GUIDED[name]})
        assert asked["grammar"].startswith("root ::= ")
        assert not asked.keys() & {*GUIDED, "json_schema", "response_format"}

    async def test_a_schema_as_text(self) -> None:
        text = await sent(TEXT, guided_json='{"type": "null"}')
        assert text["grammar"] == (await sent(TEXT, guided_json={"type": "null"}))["grammar"]

    @pytest.mark.parametrize("name", ["guided_json", "guided_regex", "guided_grammar"])
    async def test_what_is_none_is_named(self, name: str) -> None:
        for wrong in ("(", "[]"):
            if name != "guided_regex" or wrong == "(":
                error = await refusal(TEXT, **{name: wrong})
                assert error.param == name
                assert name in error.message

    @pytest.mark.parametrize(
        "more",
        [
            {"guided_choice": ["a"]},
            {"response_format": {"type": "json_object"}},
            {"grammar": "root ::= x"},
            {"tools": TOOLS},
        ],
    )
    async def test_only_one_thing_shapes_an_answer(self, more: dict[str, Any]) -> None:
        error = await refusal(CHAT, hosted(tools=True), guided_regex="a", **more)
        assert "does not go together with" in error.message
        assert next(iter(more)) in error.message

    async def test_what_shapes_nothing_goes_along(self) -> None:
        more = {"response_format": {"type": "text"}, "tools": TOOLS, "tool_choice": "none"}
        assert "grammar" in await sent(CHAT, hosted(tools=True), guided_regex="a", **more)


class TestStops:
    async def test_the_engine_is_asked_which_one_it_was(self) -> None:
        plan = await planned(TEXT, include_stop_str_in_output=True, stop=["a", "b"])
        assert plan.rewrite
        body = await sent(CHAT, include_stop_str_in_output=True, stop="a")
        assert stops.asks(body)
        assert body["stop"] == "a"

    @pytest.mark.parametrize("more", [{}, {"stop": []}, {"include_stop_str_in_output": False, "stop": "a"}])
    async def test_not_if_there_can_be_none(self, more: dict[str, Any]) -> None:
        asked = {"include_stop_str_in_output": True, **more}
        assert not stops.asks(await sent(TEXT, **asked))
        assert not (await planned(TEXT, **asked)).rewrite

    def test_its_answer(self) -> None:
        chunk = {"choices": [], "__verbose": {"stopping_word": "END", "content": "…"}}
        assert stops.pop_stop(chunk) == "END"
        assert chunk == {"choices": []}
        assert stops.pop_stop({"__verbose": {"content": "a"}}) == ""
        assert stops.pop_stop({}) == ""


class TestDefaults:
    @pytest.mark.parametrize(
        ("body", "more"),
        [
            (CHAT, {"add_special_tokens": False, "echo": False, "documents": [], "priority": 0}),
            (TEXT, {"add_special_tokens": True, "skip_special_tokens": True, "length_penalty": 1.0}),
            (TEXT, {"guided_decoding_backend": "outlines", "spaces_between_special_tokens": False}),
        ],
    )
    async def test_what_changes_nothing_is_taken_and_not_sent(
        self, body: dict[str, Any], more: dict[str, Any]
    ) -> None:
        assert await sent(body, **more) == await sent(body)

    @pytest.mark.parametrize(
        ("body", "more"),
        [
            (CHAT, {"skip_special_tokens": False}),
            (CHAT, {"echo": True}),
            (CHAT, {"chat_template": "x"}),
            (CHAT, {"continue_final_message": True}),
            (TEXT, {"use_beam_search": True}),
            (TEXT, {"min_tokens": 5}),
            (TEXT, {"stop_token_ids": [5]}),
            (TEXT, {"add_special_tokens": False}),
            (TEXT, {"guided_whitespace_pattern": " "}),
            (TEXT, {"skip_special_tokens": False}),
        ],
    )
    async def test_what_would_change_something_is_refused(
        self, body: dict[str, Any], more: dict[str, Any]
    ) -> None:
        """An engine that does not tell its tokens cannot show the special ones either."""
        error = await refusal(body, hosted(vocabulary=0), **more)
        assert error.param == next(iter(more))
        assert error.code == "unsupported_parameter"
