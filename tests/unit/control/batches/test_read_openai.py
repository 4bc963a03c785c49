"""The input of an OpenAI batch: what is taken, and what is said of what is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from paddock.control.batches.read_openai import read
from paddock.control.batches.reading import MOST_ERRORS, Read
from paddock.services import lines as splitting

CHAT = "/v1/chat/completions"


def row(custom_id: Any = "a", **more: Any) -> dict[str, Any]:
    body = {"model": "foal", "messages": [{"role": "user", "content": "hé"}]}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body, **more}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in row().items() if key != name}


def text(*rows: dict[str, Any] | str | bytes) -> bytes:
    return b"\n".join(
        one if isinstance(one, bytes) else one.encode() if isinstance(one, str) else json.dumps(one).encode()
        for one in rows
    )


async def reading(data: bytes, size: int = 7, notes: list[int] | None = None) -> Read:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return await read(pieces(), CHAT, [].append if notes is None else notes.append)


class TestRead:
    @pytest.mark.parametrize("size", [1, 7, 10_000])
    @pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n \n"])
    async def test_a_good_input(self, size: int, end: bytes) -> None:
        notes: list[int] = []
        found = await reading(text(row("a"), row("b"), "", row("c")) + end, size, notes)
        assert found == Read(3, "foal", [])
        assert notes == [1, 2, 3]

    @pytest.mark.parametrize(
        ("bad", "code", "param", "said"),
        [
            ("{", "invalid_json_line", None, "is not valid JSON"),
            ("[1]", "invalid_json_line", None, "must be a JSON object, not [1]"),
            (b'{"custom_id": "\xff"}', "invalid_encoding", None, "byte 16 of the line is not UTF-8"),
            (b"\xef\xbb\xbf{}", "invalid_json_line", None, "byte order mark"),
            (without("custom_id"), "missing_required_parameter", "custom_id", "custom_id is required"),
            (row(5), "invalid_value", "custom_id", "custom_id must be a text of 1 to 512 characters, not 5"),
            (row(""), "invalid_value", "custom_id", 'not ""'),
            (row("x" * 513), "invalid_value", "custom_id", "xxx..."),
            (row("first"), "duplicate_custom_id", "custom_id", 'custom_id "first" stands on an earlier line'),
            (without("method"), "missing_required_parameter", "method", "method is required"),
            (row(method="GET"), "invalid_method", "method", 'must be "POST", not "GET"'),
            (without("url"), "missing_required_parameter", "url", "url is required"),
            (row(url="/v1/embeddings"), "invalid_url", "url", f'must be "{CHAT}", the endpoint of the batch'),
            (without("body"), "missing_required_parameter", "body", "body is required"),
            (row(body="hi"), "invalid_value", "body", 'body must be an object, not "hi"'),
            (row(body={}), "missing_required_parameter", "body.model", "body.model is required"),
            (row(body={"model": ""}), "invalid_value", "body.model", "must be the name of a model"),
            (row(body={"model": "a\0"}), "invalid_value", "body.model", "must be the name of a model"),
            (row(body={"model": "b"}), "mismatched_model", "body.model", 'model "b" is not "foal"'),
            (row(body={"model": "foal", "stream": True}), "invalid_value", "body.stream", "no streams"),
        ],
    )
    async def test_a_bad_line(self, bad: Any, code: str, param: str | None, said: str) -> None:
        found = await reading(text(row("first"), "", bad, row("last")))
        assert (found.total, found.model) == (3, "foal")
        [error] = found.errors
        assert (error["code"], error["param"], error["line"]) == (code, param, 3)
        assert said in error["message"]

    async def test_what_only_the_endpoint_can_judge_is_left_to_it(self) -> None:
        found = await reading(text(row(body={"model": "foal", "temperature": 99, "stream": False})))
        assert found == Read(1, "foal", [])

    @pytest.mark.parametrize("data", [b"", b"\n", b" \n\t\r\n"])
    async def test_no_rows(self, data: bytes) -> None:
        found = await reading(data)
        assert [error["code"] for error in found.errors] == ["empty_file"]
        assert (found.total, found.model) == (0, "")

    async def test_after_many_faults_it_is_not_read_further(self) -> None:
        notes: list[int] = []
        found = await reading(text(*["{"] * 100), notes=notes)
        assert [error["line"] for error in found.errors] == list(range(1, MOST_ERRORS + 1))
        assert notes[-1] == MOST_ERRORS

    async def test_a_line_without_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(splitting, "LONGEST_LINE", 1000)
        found = await reading(text(row("a"), "{", "x" * 5000))
        assert [(error["code"], error["line"]) for error in found.errors] == [
            ("invalid_json_line", 2),
            ("line_too_long", 3),
        ]

    async def test_others_have_their_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(splitting, "TURN", 0.0)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        found = await reading(text(*(row(str(number)) for number in range(100))), 10**6)
        counting.cancel()
        assert found.total == 100
        assert turns >= 99
