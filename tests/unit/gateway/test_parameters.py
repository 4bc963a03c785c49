"""What llama.cpp is sent for what a caller asks, and what is refused by name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from paddock.engines.parameters import Plan, plan
from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.inference.routing import Deployment

CHAT = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "foal", "prompt": "hi"}
TOOLS = [
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "title": "ADD"}}},
    {"type": "function", "function": {"name": "sub"}},
]


def hosted(**more: Any) -> Deployment:
    return Deployment(
        "paddock/foal", "llama.cpp", "foal-alias", **{"tools": False, "vocabulary": 100, **more}
    )


async def planned(body: dict[str, Any], deployment: Deployment | None = None, **more: Any) -> Plan:
    return await plan(deployment or hosted(), {**body, **more}, chat="messages" in body)


async def sent(body: dict[str, Any], deployment: Deployment | None = None, **more: Any) -> dict[str, Any]:
    """What the engine gets."""
    (part,) = (await planned(body, deployment, **more)).parts
    loaded: dict[str, Any] = orjson.loads(part.body)
    return loaded


async def refusal(body: dict[str, Any], deployment: Deployment | None = None, **more: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await planned(body, deployment, **more)
    return caught.value


class TestLlamaCpp:
    async def test_openai_s_defaults_are_sent_where_its_own_differ(self) -> None:
        body = await sent(CHAT)
        assert (body["temperature"], body["top_p"], body["top_k"], body["min_p"]) == (1, 1, 0, 0)
        assert "max_tokens" not in body
        assert (await sent(TEXT))["max_tokens"] == 16

    async def test_it_streams_and_reports_progress_as_long_as_no_pace_is_known(self) -> None:
        for stream in (False, True):
            body = await sent(CHAT, stream=stream)
            assert (body["stream"], body["return_progress"]) == (True, True)
            assert body["stream_options"] == {"include_usage": True}
            assert (await planned(CHAT, stream=stream)).collect is not stream

    async def test_the_model_s_own_defaults_yield_to_the_caller(self) -> None:
        deployment = hosted(sampling={"temperature": 0.3, "top_k": 20})
        assert (await sent(CHAT, deployment))["temperature"] == 0.3
        body = await sent(CHAT, deployment, temperature=0.7)
        assert (body["temperature"], body["top_k"]) == (0.7, 20)

    async def test_a_greedy_request_needs_one_candidate(self) -> None:
        body = await sent(CHAT, hosted(sampling={"top_k": 20}), temperature=0)
        assert (body["temperature"], body["top_k"]) == (0, 1)

    @pytest.mark.parametrize("name", ["repetition_penalty", "presence_penalty", "frequency_penalty"])
    async def test_penalties_look_at_the_whole_text(self, name: str) -> None:
        body = await sent(CHAT, hosted(context_length=512), **{name: 1.5})
        assert body["repeat_last_n"] == 512
        assert body["repeat_penalty" if name == "repetition_penalty" else name] == 1.5
        assert (await sent(CHAT, **{name: 1.5, "repeat_last_n": 8}))["repeat_last_n"] == 8
        # The engine refuses its own word for all of it.
        assert (await sent(CHAT, **{name: 1.5, "repeat_last_n": -1}))["repeat_last_n"] > 2**16
        assert "repeat_last_n" not in await sent(CHAT)

    @pytest.mark.parametrize(("seed", "given"), [(5, 5), (-1, 2**32 - 2), (2**32 - 1, 0), (2**40, 256)])
    async def test_seeds_are_never_the_one_that_means_any(self, seed: int, given: int) -> None:
        assert (await sent(CHAT, seed=seed))["seed"] == given

    async def test_names_of_the_limit(self) -> None:
        assert (await sent(CHAT, max_tokens=7))["max_tokens"] == 7
        assert (await sent(CHAT, max_completion_tokens=8, max_tokens=7))["max_tokens"] == 8

    async def test_formats_are_asked_for_as_each_endpoint_knows_them(self) -> None:
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
        for request in (CHAT, TEXT):
            body = await sent(request, response_format=schema)
            assert body["grammar"].startswith("root ::=")
            assert not body.keys() & {"response_format", "json_schema"}
        assert (await sent(TEXT, response_format={"type": "json_object"}))["json_schema"] == {
            "type": "object"
        }
        assert "response_format" not in await sent(CHAT, response_format={"type": "text"})

    async def test_bookkeeping_is_taken_and_not_sent(self) -> None:
        names = {"user": "me", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"}
        assert await sent(CHAT, **names) == await sent(CHAT)

    @pytest.mark.parametrize("choices", [{"n": 3}, {"prompt": ["a", "b"]}, {"prompt": [[1], [2]], "n": 2}])
    async def test_each_choice_is_a_request(self, choices: dict[str, Any]) -> None:
        plan = await planned({**TEXT, **choices})
        prompts = choices.get("prompt", ["hi"])
        bodies = [orjson.loads(part.body) for part in plan.parts]
        assert [body["prompt"] for body in bodies] == [
            one for one in prompts for _ in range(choices.get("n", 1))
        ]
        assert [part.index for part in plan.parts] == list(range(len(bodies)))
        assert all("n" not in body for body in bodies)


class TestMessages:
    async def test_developer_is_system_and_parts_are_joined(self) -> None:
        parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        messages = [{"role": "developer", "content": "be"}, {"role": "user", "content": parts, "name": None}]
        body = await sent({"model": "foal", "messages": messages})
        assert body["messages"] == [{"role": "system", "content": "be"}, {"role": "user", "content": "a\nb"}]

    @pytest.mark.parametrize("kind", ["image_url", "input_audio", "file", ""])
    async def test_other_parts_are_refused_where_they_are(self, kind: str) -> None:
        content = [{"type": "text", "text": "a"}, {"type": kind}]
        error = await refusal({"model": "m", "messages": [{"role": "user", "content": content}]})
        assert error.param == "messages.0.content.1.type"

    @pytest.mark.parametrize(
        ("message", "param"),
        [
            ({"role": "user"}, "messages.1.content"),
            ({"role": "user", "content": None}, "messages.1.content"),
            ({"role": "assistant", "content": None, "tool_calls": []}, "messages.1.content"),
            ({"role": "user", "content": [{"type": "text"}]}, "messages.1.content.0.text"),
        ],
    )
    async def test_content_must_be_there(self, message: dict[str, Any], param: str) -> None:
        error = await refusal({"model": "m", "messages": [*CHAT["messages"], message]})
        assert (error.param, error.message) == (param, f"{param} is required")

    async def test_a_message_that_calls_tools_needs_none(self) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
        body = await sent(
            {"model": "m", "messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
        )
        assert body["messages"] == [{"role": "assistant", "content": "", "tool_calls": [call]}]


class TestTools:
    async def test_a_template_without_tools_refuses_them(self) -> None:
        error = await refusal(CHAT, tools=TOOLS)
        assert (error.param, isinstance(error, UnsupportedParameter)) == ("tools", True)
        assert "tools" not in await sent(CHAT, tools=TOOLS, tool_choice="none")

    async def test_auto(self) -> None:
        body = await sent(CHAT, hosted(tools=True), tools=TOOLS, parallel_tool_calls=False)
        assert (body["tools"], body["tool_choice"], body["parallel_tool_calls"]) == (TOOLS, "auto", False)

    async def test_a_function_by_name_is_forced_by_its_schema(self) -> None:
        choice = {"type": "function", "function": {"name": "add"}}
        plan = await planned(CHAT, hosted(tools=True), tools=TOOLS, tool_choice=choice)
        text = plan.parts[0].body.decode()
        assert plan.forced_tool
        assert '"const":"add"' in text
        assert '"const":"sub"' not in text
        plan = await planned(CHAT, hosted(tools=True), tools=TOOLS, tool_choice="required")
        assert b'"const":"add"' in plan.parts[0].body
        assert b'"const":"sub"' in plan.parts[0].body

    @pytest.mark.parametrize(
        "choice",
        [
            "any",
            "",
            {},
            {"type": "function"},
            {"type": "function", "function": "add"},
            {"function": {"name": "add"}},
            {"type": "function", "function": {"name": "mul"}},
        ],
    )
    async def test_other_choices_are_refused(self, choice: Any) -> None:
        error = await refusal(CHAT, hosted(tools=True), tools=TOOLS, tool_choice=choice)
        assert error.param == "tool_choice"

    async def test_a_choice_without_tools(self) -> None:
        assert (await refusal(CHAT, tool_choice="auto")).param == "tool_choice"
        assert "tool_choice" not in await sent(CHAT, tool_choice="none")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "more", "param"),
        [
            (CHAT, {"functions": []}, "functions"),
            (CHAT, {"function_call": "auto"}, "function_call"),
            (CHAT, {"audio": {}}, "audio"),
            (CHAT, {"prediction": {}}, "prediction"),
            (CHAT, {"web_search_options": {}}, "web_search_options"),
            (CHAT, {"reasoning_effort": "low"}, "reasoning_effort"),
            (CHAT, {"modalities": ["audio"]}, "modalities"),
            (CHAT, {"store": True}, "store"),
            (CHAT, {"service_tier": "flex"}, "service_tier"),
            (CHAT, {"context_length_exceeded_behavior": "truncate"}, "context_length_exceeded_behavior"),
            (CHAT, {"top_logprobs": 2}, "top_logprobs"),
            (CHAT, {"stream_options": {"include_usage": True}}, "stream_options"),
            (CHAT, {"stop": ""}, "stop"),
            (CHAT, {"stop": ["a", ""]}, "stop"),
            (CHAT, {"logit_bias": {"100": 1}}, "logit_bias"),
            (CHAT, {"logit_bias": {"x": 1}}, "logit_bias"),
            (CHAT, {"logit_bias": {"٣": 1}}, "logit_bias"),
            (CHAT, {"logit_bias": {"9" * 5000: 1}}, "logit_bias"),
            (CHAT, {"response_format": {"type": "xml"}}, "response_format.type"),
            (CHAT, {"response_format": {}}, "response_format.type"),
            (CHAT, {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
            (TEXT, {"suffix": "x"}, "suffix"),
            (TEXT, {"best_of": 2}, "best_of"),
            (TEXT, {"best_of": 1, "n": 2}, "best_of"),
            (TEXT, {"echo": True, "logprobs": 1}, "logprobs"),
            (TEXT, {"prompt": []}, "prompt"),
            (TEXT, {"prompt": [[]]}, "prompt"),
            (TEXT, {"prompt": [[1], []]}, "prompt"),
        ],
    )
    async def test_what_cannot_be_honoured_is_named(
        self, body: dict[str, Any], more: dict[str, Any], param: str
    ) -> None:
        error = await refusal(body, **more)
        assert error.param == param
        assert param.split(".")[0] in error.message

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("temprature", "temperature"),
            ("max_token", "max_tokens"),
            ("repeat_penalty", "repetition_penalty"),
        ],
    )
    async def test_unknown_ones_are_refused_with_the_nearest(self, name: str, near: str) -> None:
        error = await refusal(CHAT, **{name: 1})
        assert (error.param, error.code) == (name, "unsupported_parameter")
        assert f"did you mean {near!r}?" in error.message

    async def test_an_unlike_one_is_told_all_there_are(self) -> None:
        error = await refusal(CHAT, zzz=1)
        assert "temperature" in error.message


class TestAttached:
    async def test_everything_is_passed_on_but_the_name(self) -> None:
        deployment = Deployment("mine", "attached", "theirs")
        more = {
            "functions": [],
            "zzz": {"a": 1},
            "n": 3,
            "best_of": 5,
            "suffix": "x",
            "reasoning_effort": "low",
        }
        assert await sent(CHAT, deployment, **more) == {**CHAT, **more, "model": "theirs"}

    async def test_usage_is_asked_for_and_other_stream_options_kept(self) -> None:
        deployment = Deployment("mine", "attached", "theirs")
        body = await sent(CHAT, deployment, stream=True, stream_options={"continuous_usage_stats": True})
        assert body["stream_options"] == {"continuous_usage_stats": True, "include_usage": True}
        plan = await planned(CHAT, deployment, stream=True, stream_options={"include_usage": False})
        assert plan.include_usage is False

    @pytest.mark.parametrize("value", [10**30, {"a": [-(10**30)]}])
    async def test_what_json_writers_cannot_write_is_named(self, value: Any) -> None:
        error = await refusal(CHAT, Deployment("mine", "attached", "theirs"), zzz=value)
        assert error.param == "zzz"

    async def test_a_deployment_that_makes_embeddings_only(self) -> None:
        assert (await refusal(CHAT, hosted(generates=False))).param == "model"
