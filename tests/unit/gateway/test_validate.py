"""Every field of every body: what is wrong, and the sentence that says what would be right."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pydantic import TypeAdapter

from paddock.errors import InvalidRequest
from paddock.gateway.validate import parse, parse_whole
from paddock.schemas.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest

ADAPTERS: dict[str, tuple[TypeAdapter[Any], dict[str, Any]]] = {
    "chat": (
        TypeAdapter(ChatCompletionRequest),
        {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    ),
    "text": (TypeAdapter(CompletionRequest), {"model": "m", "prompt": "x"}),
    "embed": (TypeAdapter(EmbeddingRequest), {"model": "m", "input": "x"}),
}

# field -> a phrase that the message must have, and values that are wrong
SAMPLING: dict[str, tuple[str, list[Any]]] = {
    "model": ("a string", [1, ["m"], {}, True]),
    "stream": ("true or false", ["yes", 1, 0, [], "true"]),
    "stream_options": ("an object", [True, [], "x"]),
    "stream_options.include_usage": ("true or false", [1, "x"]),
    "n": ("at least 1", [0, -1]),
    "max_tokens": ("at least 1", [0, -1, -(10**30)]),
    "temperature": ("at most 2", [2.1, 1e30]),
    "top_p": ("at most 1", [1.01]),
    "top_k": ("at least -1", [-2]),
    "min_p": ("at least 0", [-0.1]),
    "typical_p": ("at most 1", [5]),
    "presence_penalty": ("at least -2", [-3]),
    "frequency_penalty": ("at most 2", [3]),
    "repetition_penalty": ("greater than 0", [0]),
    "logit_bias": ("an object", [[], 1, "x"]),
    "logit_bias.5": ("at most 100", [101]),
    "stop": ("a string or a list of at most 16 strings", [1, [1], ["a"] * 17, [None], {}]),
    "seed": ("an integer", ["1", 1.5, True]),
    "user": ("a string", [5]),
    "response_format": ("an object", ["json", []]),
}
NUMBERS = {"n": "an integer", "max_tokens": "an integer", "top_k": "an integer"} | dict.fromkeys(
    ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"),
    "a number",
)
OWN: dict[str, dict[str, tuple[str, list[Any]]]] = {
    "chat": {
        "messages": ("a list", ["hi", {}, 5]),
        "messages.0": ("an object", ["hi", 1, []]),
        "messages.0.role": ('"system", "developer", "user", "assistant" or "tool"', ["bob", 1, "User", ""]),
        "messages.0.content": ("a string or a list of parts", [1, {}, ["a"], [{"text": "x"}], [{"type": 1}]]),
        "messages.0.name": ("a string", [1]),
        "messages.0.tool_calls": ("a list", ["x"]),
        "max_completion_tokens": ("at least 1", [0]),
        "logprobs": ("true or false", [5, "x"]),
        "top_logprobs": ("at most 20", [21]),
        "tools": ("a list", [{}, "x"]),
        "tools.0.type": ('"function"', ["x", 1]),
        "tool_choice": ('"none", "auto", "required"', [1, []]),
        "parallel_tool_calls": ("true or false", ["x"]),
    },
    "text": {
        "prompt": ("a string, a list of strings", [1, {}, [1.5], [None], [[1], "a"], [-1], [[-1]], [2**31]]),
        "logprobs": ("at most 20", [21]),
        "echo": ("true or false", [1]),
        "best_of": ("at least 1", [0]),
        "suffix": ("a string", [1]),
    },
    "embed": {
        "model": ("a string", [1]),
        "input": ("a non-empty string, a list of strings", [1, {}, [1.5], [None]]),
        "encoding_format": ('"float" or "base64"', ["hex", 1]),
        "dimensions": ("at least 1", [0]),
    },
}


def cases() -> list[Any]:
    found = []
    for kind, own in OWN.items():
        table = own if kind == "embed" else {**SAMPLING, **own}
        wrong = [(field, phrase, value) for field, (phrase, values) in table.items() for value in values]
        if kind != "embed":
            wrong += [
                (field, phrase, value) for field, phrase in NUMBERS.items() for value in ("1", [1], True)
            ]
        found += [pytest.param(kind, *one, id=f"{kind} {one[0]} {str(one[2])[:20]}") for one in wrong]
    return found


def put(body: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """The body with `value` at the dotted place, which is made if it is not there."""
    target: Any = body
    *way, last = field.split(".")
    for step in way:
        if step.isdigit() and isinstance(target, list):
            target = target[int(step)]
        else:
            target = target.setdefault(step, [{}] if step == "tools" else {})
    target[int(last) if isinstance(target, list) else last] = value
    return body


def refusal(kind: str, data: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(ADAPTERS[kind][0], data)
    assert len(caught.value.message) < 500
    assert (caught.value.status, "\n" in caught.value.message) == (400, False)
    return caught.value


class TestFields:
    @pytest.mark.parametrize(("kind", "field", "phrase", "value"), cases())
    def test_a_wrong_value_is_named_with_what_is_right(
        self, kind: str, field: str, phrase: str, value: Any
    ) -> None:
        body = put(json.loads(json.dumps(ADAPTERS[kind][1])), field, value)
        error = refusal(kind, json.dumps(body).encode())
        assert error.param == field
        assert error.message.startswith(f"{field} must be")
        assert phrase in error.message

    @pytest.mark.parametrize("kind", ADAPTERS)
    def test_a_missing_field_is_named(self, kind: str) -> None:
        for field in ADAPTERS[kind][1]:
            body = {name: value for name, value in ADAPTERS[kind][1].items() if name != field}
            error = refusal(kind, json.dumps(body).encode())
            assert (error.param, error.code, error.message) == (
                field,
                "missing_field",
                f"{field} is required",
            )

    @pytest.mark.parametrize("kind", ADAPTERS)
    def test_null_is_not_given(self, kind: str) -> None:
        adapter, body = ADAPTERS[kind]
        optional = [name for name in adapter.json_schema()["properties"] if name not in body]
        assert parse(adapter, json.dumps({**body, **dict.fromkeys(optional)}).encode()) == body
        for field in body:
            assert refusal(kind, json.dumps({**body, field: None}).encode()).param == field

    def test_nothing_to_answer(self) -> None:
        assert refusal("chat", b'{"model": "m", "messages": []}').message == "messages must not be empty"
        assert refusal("chat", b'{"model": "", "messages": [{"role": "user"}]}').param == "model"

    def test_what_is_there_and_wrong_comes_before_what_is_missing(self) -> None:
        assert refusal("chat", b'{"temperature": 9}').param == "temperature"

    def test_unknown_fields_are_kept(self) -> None:
        adapter, body = ADAPTERS["chat"]
        assert parse(adapter, json.dumps({**body, "future": {"a": [1]}}).encode())["future"] == {"a": [1]}


class TestNul:
    """What is kept may go to PostgreSQL, which takes none."""

    KEPT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])

    @pytest.mark.parametrize(
        ("body", "param", "said"),
        [
            ({"name": "a\0b"}, "name", "name must not have a NUL"),
            ({"labels": {"k": ["x", "\0"]}}, "labels.k.1", "labels.k.1 must not"),
            ({"labels": {"k\0": "x"}}, "labels", "labels must not have names with a NUL"),
            ({"\0": 1}, None, "the body must not have names with a NUL"),
        ],
    )
    def test_what_is_kept_has_none(self, body: Any, param: str | None, said: str) -> None:
        with pytest.raises(InvalidRequest) as error:
            parse_whole(self.KEPT, json.dumps(body).encode())
        assert error.value.param == param
        assert said in error.value.message

    def test_what_only_looks_like_one(self) -> None:
        assert parse_whole(self.KEPT, rb'{"name": "\\u0000"}') == {"name": r"\u0000"}

    def test_prompts_may_have_some(self) -> None:
        for kind, field in (("text", "prompt"), ("chat", "user")):
            adapter, body = ADAPTERS[kind]
            assert parse(adapter, json.dumps({**body, field: "a\0b"}).encode())[field] == "a\0b"


class TestBodies:
    @pytest.mark.parametrize("kind", ADAPTERS)
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"{",
            b"{'model': 'm'}",
            b'{"model": "m"} x',
            b"\xef\xbb\xbf{}",
            b'{"model": "\xff"}',
            b'{"model": "\\ud800"}',
            b"\x00",
            b"[" * 5_000_000,
            b'{"a":' * 100_000,
            b'{"seed": ' + b"9" * 5000 + b"}",
        ],
        ids=lambda data: repr(data[:20]),
    )
    def test_what_is_not_json(self, kind: str, data: bytes) -> None:
        error = refusal(kind, data)
        assert error.code == "invalid_json"
        assert "not valid JSON" in error.message

    @pytest.mark.parametrize("data", [b"[]", b"null", b"5", b'"hi"', b"true", b"[{}]"])
    def test_json_that_is_no_object(self, data: bytes) -> None:
        assert refusal("chat", data).message == f"the body must be an object, not {data.decode()}"

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
    def test_numbers_beyond_all_bounds(self, value: str) -> None:
        start = json.dumps(ADAPTERS["text"][1])[:-1]
        for field in ("temperature", "max_tokens", "seed", "top_k", "n", "logprobs"):
            error = refusal("text", f'{start}, "{field}": {value}}}'.encode())
            assert error.param == field

    def test_of_a_repeated_key_the_last_counts(self) -> None:
        assert parse(ADAPTERS["text"][0], b'{"model": "a", "prompt": "x", "model": "b"}')["model"] == "b"

    @pytest.mark.parametrize(
        ("kind", "start", "item"),
        [
            ("chat", '"messages": [', "0"),
            ("text", '"prompt": [', "1.5"),
            ("text", '"prompt": [', "[0.5]"),
            ("embed", '"input": [', "null"),
            ("chat", '"messages": [{"role": "user", "content": [', "0"),
        ],
    )
    def test_a_mass_of_faults_is_not_collected(self, kind: str, start: str, item: str) -> None:
        closing = "]}]}" if "content" in start else "]}"
        data = f'{{"model": "m", {start}{",".join([item] * 100_000)}{closing}'.encode()
        began = time.process_time()
        refusal(kind, data)
        # Collecting them took over three seconds, and nobody else was answered meanwhile.
        assert time.process_time() - began < 1.5
