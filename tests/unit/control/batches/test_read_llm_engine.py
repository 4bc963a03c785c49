"""The input of an LLM Engine batch: what is taken, in pieces of any size, and what is said of what is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from paddock.control.batches import read_llm_engine as reading
from paddock.control.batches.read_llm_engine import MOST_DEPTH, read
from paddock.control.batches.reading import MOST_ERRORS, Read
from paddock.errors import StorageFailed
from paddock.schemas.jobs import Dialect

V1: Dialect = "llm_engine.v1"
V2: Dialect = "llm_engine.v2"
ASKED: dict[str, Any] = {"max_new_tokens": 3, "temperature": 0}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hé"}]}


async def reads(
    data: bytes, dialect: Dialect = V1, size: int = 7, notes: list[int] | None = None
) -> tuple[Read, list[bytes]]:
    """What was found, and the rows."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    written: list[bytes] = []

    async def write(lines: bytes) -> None:
        assert lines == b"" or lines.endswith(b"\n")
        written.append(lines)

    found = await read(dialect, pieces(), write, ([] if notes is None else notes).append)
    return found, b"".join(written).splitlines()


async def fault(data: Any, dialect: Dialect = V1) -> tuple[str, str | None, str]:
    """(code, field, message) of the only thing that is wrong."""
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    found, _ = await reads(text, dialect)
    (error,) = found.errors
    return error["code"], error["param"], error["message"]


class TestPrompts:
    @pytest.mark.parametrize("size", [1, 3, 100_000])
    @pytest.mark.parametrize("dialect", [V1, V2])
    async def test_each_is_a_row(self, size: int, dialect: Dialect) -> None:
        prompts = ["", "a\nb\u2028", 'é"\\😀', "x" * 5000, "true"]
        found, rows = await reads(json.dumps({"prompts": prompts, **ASKED}).encode(), dialect, size)
        assert [json.loads(row) for row in rows] == prompts
        assert found == Read(5, "", [], {"max_new_tokens": 3, "temperature": 0.0})

    async def test_in_any_order_and_with_a_mark(self) -> None:
        more = {"stop_sequences": ["a", "b"], "guided_json": {"type": "object", "x": [{}, []]}, "top_k": None}
        data = json.dumps({**more, "temperature": 0.5, "prompts": ["a"], "max_new_tokens": 1}).encode()
        found, rows = await reads(b"\xef\xbb\xbf\n" + data, size=100_000)
        assert rows == [b'"a"']
        assert found.errors == []
        assert found.fields == {
            "max_new_tokens": 1,
            "temperature": 0.5,
            "stop_sequences": ["a", "b"],
            "guided_json": {"type": "object", "x": [{}, []]},
        }

    async def test_those_that_are_none(self) -> None:
        found, _ = await reads(json.dumps({"prompts": ["a", 5, ["x"], {"y": ["z"]}, None], **ASKED}).encode())
        assert [(error["param"], error["message"]) for error in found.errors] == [
            ("prompts.1", "prompts.1 must be a string, not 5"),
            ("prompts.2", "prompts.2 must be a string, not a list"),
            ("prompts.3", "prompts.3 must be a string, not an object"),
            ("prompts.4", "prompts.4 must be a string, not null"),
        ]
        assert found.total == 5

    @pytest.mark.parametrize(
        ("fields", "param", "said"),
        [
            ({"temperature": 7}, "temperature", "temperature must be less than or equal to 1, not 7"),
            ({"temperature": "0"}, "temperature", 'temperature must be a valid number, not "0"'),
            ({"max_new_tokens": 0}, "max_new_tokens", "must be greater than or equal to 1, not 0"),
            ({"max_new_tokens": None}, "max_new_tokens", "max_new_tokens is required"),
            ({"max_tokens": 5}, "max_tokens", "did you mean 'max_new_tokens'?"),
            ({"colour": "red"}, "colour", "it takes prompts, max_new_tokens, temperature, "),
            ({"prompts": []}, "prompts", "prompts must not be empty"),
        ],
    )
    async def test_fields_that_are_wrong(self, fields: dict[str, Any], param: str, said: str) -> None:
        _, field, message = await fault({"prompts": ["a"], **ASKED, **fields})
        assert field == param
        assert said in message

    async def test_without_prompts(self) -> None:
        assert await fault(ASKED) == ("missing_field", "prompts", "prompts is required")
        assert (await fault({**ASKED, "prompts": "a"}))[2] == "prompts must be a list of strings"

    async def test_prompts_that_stand_there_twice(self) -> None:
        assert "twice" in (await fault(b'{"prompts": ["a"], "prompts": ["b"]}'))[2]

    async def test_no_more_faults_than_can_be_read(self) -> None:
        found, _ = await reads(json.dumps({"prompts": [5] * 1000, **ASKED}).encode(), size=10)
        assert len(found.errors) == MOST_ERRORS
        assert found.total < 1000


class TestRequests:
    @pytest.mark.parametrize("size", [1, 100_000])
    async def test_each_is_a_row(self, size: int) -> None:
        rows = [{**CHAT, "temperature": 0.5, "logit_bias": {"1": -1}}, {**CHAT, "model": "foal"}, CHAT]
        found, lines = await reads(json.dumps(rows).encode(), V2, size)
        assert [json.loads(line) for line in lines] == rows
        assert found == Read(3, "foal", [], {})

    @pytest.mark.parametrize(
        ("row", "param", "said"),
        [
            (5, "1", "request 1 must be an object, not 5"),
            ([], "1", "request 1 must be an object, not a list"),
            ({}, "1", "request 1 has neither messages nor a prompt: give one of them"),
            ({**CHAT, "prompt": "a"}, "1", "request 1 has both messages and a prompt: give one of them"),
            ({"prompt": "a"}, "1", "request 1 asks for a completion, and the first one for a chat; a batch"),
            ({**CHAT, "stream": True}, "1.stream", "request 1: stream must not be true"),
            ({**CHAT, "model": "other"}, "1.model", 'request 1: model "other" is not "foal", an earlier one'),
            ({**CHAT, "model": 5}, "1.model", "request 1: model must be a model's name, not 5"),
        ],
    )
    async def test_one_that_is_wrong(self, row: Any, param: str, said: str) -> None:
        _, field, message = await fault([{**CHAT, "model": "foal"}, row, CHAT], V2)
        assert field == param
        assert message.startswith(said)

    async def test_what_only_its_answer_says(self) -> None:
        found, _ = await reads(json.dumps([{"prompt": 5, "temperature": 99, "colour": "red"}]).encode(), V2)
        assert found.errors == []

    async def test_none(self) -> None:
        assert await fault([], V2) == ("empty_input", None, "the list of requests is empty")


class TestDocument:
    @pytest.mark.parametrize("data", [b"", b" \n\t "])
    async def test_empty(self, data: bytes) -> None:
        assert await fault(data) == ("empty_input", None, "the input is empty")

    @pytest.mark.parametrize(
        ("data", "dialect", "found"),
        [
            (b"5", V1, "not 5"),
            (b'"a"', V2, 'not "a"'),
            (b"null", V1, "not null"),
            (b"[]", V1, "with prompts, not a list"),
            (b"true", V2, "an object with prompts, or a list of requests, not true"),
        ],
    )
    async def test_something_else(self, data: bytes, dialect: Dialect, found: str) -> None:
        code, _, message = await fault(data, dialect)
        assert code == "wrong_input"
        assert message.startswith("the input must be an object with prompts")
        assert message.endswith(found)

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b'{"prompts": ["a", "b', "it ends too early, in prompts.1"),
            (b'{"prompts": ["a"]', "it ends too early"),
            (b'{"prompts": ["a",, "b"]}', "in prompts.1 near "),
            (b'{"prompts": ["a", NaN]}', "in prompts.1 near "),
            (b'{"prompts": ["a", "\xff"]}', "invalid bytes in UTF8 string, in prompts.1"),
            (b'{"prompts": ["a"], "temperature": 1e999}', "overflow, in the value of 'temperature'"),
            (b'{"prompts": ["a"]} x', "trailing garbage"),
            (b"prompts", "in the input near "),
        ],
    )
    @pytest.mark.parametrize("size", [1, 100_000])
    async def test_no_json(self, data: bytes, said: str, size: int) -> None:
        found, _ = await reads(data, size=size)
        assert found.errors[-1]["code"] == "invalid_json"
        assert found.errors[-1]["message"].startswith("the input is not valid JSON: ")
        assert said in found.errors[-1]["message"]

    async def test_a_row_without_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "LONGEST_LINE", 100)
        monkeypatch.setattr(reading, "SLICE", 10)
        code, _, message = await fault({"prompts": ["a", "b" * 200, "c"], **ASKED})
        assert (code, message) == ("row_too_long", "prompts.1 is longer than 100 bytes")

    async def test_a_depth_without_an_end(self) -> None:
        code, _, message = await fault(b"[" * 100_000, V2)
        assert (code, message) == ("invalid_request", f"request 0 is nested deeper than {MOST_DEPTH}")

    async def test_a_storage_that_fails(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"prompts": ["a"'
            raise StorageFailed("gone")

        async def write(lines: bytes) -> None:
            return

        with pytest.raises(StorageFailed):
            await read(V1, pieces(), write, lambda count: None)

    async def test_is_written_and_told_as_it_comes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "WRITTEN_AT_ONCE", 100)
        notes: list[int] = []
        found, rows = await reads(
            json.dumps({"prompts": ["abc"] * 500, **ASKED}).encode(), size=64, notes=notes
        )
        assert (found.total, rows) == (500, [b'"abc"'] * 500)
        assert notes == sorted(notes)
        assert notes[-1] == 500
        assert len(set(notes)) > 10

    async def test_others_have_their_turns(self) -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        data = json.dumps({"prompts": ["ab"] * 200_000, **ASKED}).encode()
        found, _ = await reads(data, size=len(data))
        counting.cancel()
        assert found.total == 200_000
        assert turns >= 5
