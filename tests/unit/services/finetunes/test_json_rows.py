"""JSON Lines: what is taken, and what is said of what is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.services.finetunes.reading import chat, jsonl, pair, reading, told

ASKED, SAID = ("user", "q"), ("assistant", "a")


def message(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", **more}]}


class TestPrompts:
    async def test_a_good_file(self) -> None:
        text = jsonl(pair("a", "b"), "", {**pair("c", " d"), "id": 1}, pair("\u2028x", "<&>\n"))
        facts, rows = await reading(f"\ufeff{text}\r\n")
        assert rows == [pair("a", "b"), pair("c", " d"), pair("\u2028x", "<&>\n")]
        assert (facts.kind, facts.ignored, facts.errors) == ("prompts", ["id"], [])
        assert list(facts.lines) == [1, 3, 4]

    @pytest.mark.parametrize(
        ("row", "code", "param", "said"),
        [
            ("{", "invalid_json_line", None, "row 2 is not a JSON object on one line"),
            ("7", "invalid_json_line", None, "not 7"),
            (r'{"prompt": "\ud800", "response": "x"}', "invalid_json_line", None, "surrogate"),
            ({"prompt": "a"}, "missing_required_parameter", "response", "lacks response; it has 'prompt'"),
            ({"text": "a"}, "missing_required_parameter", "messages", "but 'text'"),
            (pair(1, "b"), "invalid_value", "prompt", "prompt 1, which must be a text"),  # type: ignore[arg-type]
            (pair("a", ""), "empty_value", "response", "row 2 has an empty response"),
            (pair(" \n", "b"), "empty_value", "prompt", "row 2 has an empty prompt"),
            (chat(ASKED, SAID), "mixed_rows", None, "row 2 is a chat, and the first one a prompt"),
        ],
    )
    async def test_what_is_wrong(self, row: Any, code: str, param: str | None, said: str) -> None:
        facts, rows = await reading(jsonl(pair("a", "b"), row, pair("c", "d")))
        assert told(facts) == [(code, param, 2)]
        assert said in facts.errors[0]["message"]
        assert (facts.rows, rows) == (3, [])

    async def test_a_list_is_no_lines(self) -> None:
        facts, _ = await reading(f"[\n{jsonl(pair('a', 'b'))}\n]")
        assert told(facts) == [("invalid_json_line", None, 1)]
        assert "each row as a JSON object on a line of its own" in facts.errors[0]["message"]

    async def test_the_name_says_what_was_meant(self) -> None:
        facts, _ = await reading("prompt: a\n", filename="Rows.JSONL")
        assert told(facts) == [("invalid_json_line", None, 1)]

    async def test_bytes_that_are_no_text(self) -> None:
        facts, _ = await reading(b'{"prompt": "a", "response": "b"}\n{"prompt": "\xe9", "response": "b"}')
        assert told(facts) == [("invalid_encoding", None, 2)]

    async def test_too_many_rows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("paddock.services.finetunes.rows.MOST_ROWS", 2)
        facts, _ = await reading(jsonl(*[pair("a", "b")] * 2))
        assert facts.errors == []
        facts, _ = await reading(jsonl(*[pair("a", "b")] * 4))
        assert (told(facts), facts.rows) == ([("too_many_rows", None, 3)], 2)


class TestChats:
    async def test_a_good_file(self) -> None:
        first = chat(("system", ""), ASKED, SAID, ("user", "q2"), ("assistant", "a2"))
        first["messages"][2]["weight"] = 0
        second = message(weight=1, name=None) | {"tools": [], "source": "x"}
        facts, rows = await reading(jsonl(first, second))
        assert rows == [first, chat(ASKED, SAID)]
        assert (facts.kind, facts.ignored, facts.errors) == ("chats", ["source"], [])

    @pytest.mark.parametrize(
        ("row", "code", "param", "said"),
        [
            ({"messages": "x"}, "invalid_value", "messages", "must have a list of messages"),
            ({"messages": []}, "invalid_value", "messages", "must have a list of messages"),
            ({"messages": ["x"]}, "invalid_value", "messages.0", "must be an object"),
            ({"messages": [{"content": "x"}]}, "missing_required_parameter", "messages.0.role", "lacks"),
            (chat(("bot", "x")), "invalid_value", "messages.0.role", "must be system, user or assistant"),
            (chat(("tool", "x"), SAID), "unsupported_parameter", "messages.0.role", "calls of tools"),
            (message(tool_calls=[{}]), "unsupported_parameter", "messages.1.tool_calls", "calls of tools"),
            (
                message(function_call={}),
                "unsupported_parameter",
                "messages.1.function_call",
                "calls of tools",
            ),
            (chat(ASKED, SAID, tools=[{}]), "unsupported_parameter", "tools", "calls of tools"),
            (message(wieght=1), "unsupported_parameter", "messages.1.wieght", "did you mean 'weight'"),
            (message(name="x"), "unsupported_parameter", "messages.1.name", "takes role, content, weight"),
            (message(weight=0.5), "invalid_value", "messages.1.weight", "must be 0 or 1"),
            (message(weight=True), "invalid_value", "messages.1.weight", "must be 0 or 1"),
            (message(weight=0), "invalid_value", "messages", "nothing to learn"),
            (message(content=None), "missing_required_parameter", "messages.1.content", "lacks"),
            (message(content=[{}]), "invalid_value", "messages.1.content", "must be a text"),
            (message(content=" "), "empty_value", "messages.1.content", "has an empty"),
            (chat(ASKED), "invalid_value", "messages.0.role", "the last must be the assistant's"),
            (chat(ASKED, SAID, ASKED), "invalid_value", "messages.2.role", "ends with a message of the user"),
            (pair("a", "b"), "mixed_rows", None, "is a prompt with a response, and the first one a chat"),
        ],
    )
    async def test_what_is_wrong(self, row: Any, code: str, param: str | None, said: str) -> None:
        facts, _ = await reading(jsonl(chat(ASKED, SAID), row))
        assert told(facts) == [(code, param, 2)]
        assert said in facts.errors[0]["message"]

    async def test_a_weight_of_what_is_not_learned(self) -> None:
        row = chat(ASKED, SAID)
        row["messages"][0]["weight"] = 0
        assert told((await reading(jsonl(row)))[0]) == [("invalid_value", "messages.0.weight", 1)]
