"""The LLM Engine dialect through a real socket: routes, shapes, errors, and engines that break off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddock.gateway.own.docs import openapi, page
from paddock.schemas.llm_engine import (
    CompletionStreamV1Response,
    CompletionSyncV1Response,
    GetLLMEndpointResponse,
)
from paddock.store.tables import DeploymentRow
from tests.api import llama, scripted
from tests.api.gateway import attached
from tests.api.llama import PROMPT_TOKENS, TOKENS, Llama, hosted
from tests.api.llm_engine import ENDPOINTS, PONY, SAY, LLMEngine, parse_events, serving_llm_engine

SAID = "".join(TOKENS)
SYNC = "/v1/llm/completions-sync?model_endpoint_name=foal"
STREAM = "/v1/llm/completions-stream?model_endpoint_name=foal"
CHAT: dict[str, Any] = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
Serve = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    return lambda *served: serving_llm_engine(tmp_path, *served)


class TestCompletions:
    async def test_whole(self, serve: Serve) -> None:
        async with llama.serving() as engine, serve(hosted(engine)) as dialect:
            answer = await dialect.ask("POST", SYNC, SAY)
            (sent,) = engine.engine.bodies
        assert CompletionSyncV1Response.model_validate(answer).output.model_dump() == {
            "text": SAID,
            "num_prompt_tokens": PROMPT_TOKENS,
            "num_completion_tokens": len(TOKENS),
            "tokens": None,
        }
        assert "tokens" in answer["output"]
        assert (sent["max_tokens"], sent["temperature"], sent["top_k"], sent["top_p"]) == (16, 0.5, -1, 1.0)

    async def test_streamed(self, serve: Serve) -> None:
        async with llama.serving() as engine, serve(hosted(engine)) as dialect:
            events = await dialect.events()
        parsed = [CompletionStreamV1Response.model_validate(event) for event in events]
        assert "".join(one.output.text for one in parsed if one.output) == SAID
        assert [one["output"]["finished"] for one in events] == [False] * 5 + [True]
        last = events[-1]["output"]
        assert (last["num_prompt_tokens"], last["num_completion_tokens"]) == (PROMPT_TOKENS, len(TOKENS))
        assert len({one["request_id"] for one in events}) == 1

    async def test_tokens(self, serve: Serve) -> None:
        async with llama.serving() as engine, serve(hosted(engine)) as dialect:
            output = await dialect.say(return_token_log_probs=True)
            events = await dialect.events(return_token_log_probs=True)
        assert [token["token"] for token in output["tokens"]] == TOKENS
        assert {token["log_prob"] for token in output["tokens"]} == {-0.5}
        assert [one["output"]["token"] for one in events[:-1]] == output["tokens"]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_the_stop_sequence_that_the_engine_names(self, serve: Serve, stream: bool) -> None:
        asked = {"stop_sequences": ["END", "x"], "include_stop_str_in_output": True}
        async with llama.serving(Llama(stopping_word="END")) as engine, serve(hosted(engine)) as dialect:
            if stream:
                text = "".join(one["output"]["text"] for one in await dialect.events(**asked))
            else:
                text = (await dialect.say(**asked))["text"]
            (sent,) = engine.engine.bodies
        assert text == f"{SAID}END"
        assert (sent["stop"], sent["verbose"]) == (["END", "x"], True)

    async def test_an_attached_server(self, serve: Serve) -> None:
        """It is sent what the caller sent, and answers as OpenAI's would."""
        choice = {"text": "hi", "index": 0, "finish_reason": "stop"}
        logprobs = {"tokens": ["h", "i"], "token_logprobs": [-1.0, -2.0]}
        usage = {"prompt_tokens": 1, "completion_tokens": 2}
        whole = scripted.plain({"model": "m", "choices": [{**choice, "logprobs": logprobs}], "usage": usage})
        streamed = scripted.streamed(
            scripted.event({"choices": [choice]}),
            scripted.event({"choices": [], "usage": usage}),
            b"data: [DONE]\n\n",
        )
        async with (
            scripted.serving(scripted.answering(whole, streamed)) as engine,
            serve(attached(engine.url, "foal", "m")) as dialect,
        ):
            output = await dialect.say(return_token_log_probs=True, guided_choice=["hi"])
            (event,) = await dialect.events()
        assert output["tokens"] == [{"token": "h", "log_prob": -1.0}, {"token": "i", "log_prob": -2.0}]
        assert (event["output"]["text"], event["output"]["finished"]) == ("hi", True)
        assert event["output"]["num_completion_tokens"] == 2
        assert engine.bodies[0] == {
            "model": "m",
            "prompt": "hi",
            "max_tokens": 16,
            "temperature": 0.5,
            "stream": False,
            "guided_choice": ["hi"],
            "logprobs": 1,
        }

    async def test_names_of_the_endpoint(self, serve: Serve) -> None:
        async with llama.serving() as engine, serve(hosted(engine)) as dialect:
            await dialect.say("paddock/foal")
            await dialect.ask("POST", "/v1/llm/completions-sync", {**SAY, "model": "foal"})
            await dialect.ask("POST", "/v1/llm/completions-sync", {**SAY, "model_endpoint_name": "foal"})
            await dialect.ask("POST", SYNC, {**SAY, "model": "foal"})
            for path, body in (("/v1/llm/completions-sync", SAY), (SYNC, {**SAY, "model": "goat"})):
                assert "model_endpoint_name" in await dialect.detail("POST", path, body)
            assert "query parameter 'model'" in await dialect.detail(
                "POST", "/v1/llm/completions-sync?model=foal", SAY
            )
            assert "'goat' is not served here; served models: paddock/foal" in await dialect.detail(
                "POST", "/v1/llm/completions-sync?model_endpoint_name=goat", SAY, 404
            )


class TestFailures:
    async def test_before_anything_was_sent_it_is_an_http_error(self, serve: Serve) -> None:
        async with llama.serving(Llama(die_after=1)) as engine, serve(hosted(engine)) as dialect:
            for path in (SYNC, STREAM):
                assert await dialect.detail("POST", path, SAY, 502)

    async def test_after_the_start_it_is_an_event(self, serve: Serve) -> None:
        async with llama.serving(Llama(die_after=4)) as engine, serve(hosted(engine)) as dialect:
            *events, last = await dialect.events()
        assert [event["output"]["text"] for event in events] == TOKENS[:2]
        assert last["output"] is None
        assert last["error"]["status_code"] == 502
        assert CompletionStreamV1Response.model_validate(last).error is not None

    @pytest.mark.parametrize("path", [SYNC, STREAM])
    async def test_the_engine_s_own_refusals(self, serve: Serve, path: str) -> None:
        error = {"code": 400, "message": "Failed to parse grammar", "type": "invalid_request_error"}
        refusal = scripted.plain({"error": error}, "400 Bad Request")
        async with (
            scripted.serving(scripted.answering(refusal)) as engine,
            serve(attached(engine.url, "foal", "m")) as dialect,
        ):
            assert await dialect.detail("POST", path, SAY) == "Failed to parse grammar"

    async def test_what_is_no_completion(self, serve: Serve) -> None:
        for answer in ({"choices": []}, {"choices": [{}]}, {"choices": [{"text": "a", "logprobs": 5}]}):
            async with (
                scripted.serving(scripted.answering(scripted.plain(answer))) as engine,
                serve(attached(engine.url, "foal", "m")) as dialect,
            ):
                await dialect.detail("POST", SYNC, {**SAY, "return_token_log_probs": True}, 502)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null"])
    async def test_bodies_that_are_none(self, serve: Serve, body: bytes) -> None:
        async with serve() as dialect:
            for method, path in (("POST", SYNC), ("POST", ENDPOINTS), ("POST", "/v2/completions")):
                answer = await dialect.client.request(method, f"/llm-engine{path}", content=body)
                assert (answer.status_code, set(answer.json())) == (400, {"detail"})


class TestSecondVersion:
    @pytest.mark.parametrize("path", ["/v2/chat/completions", "/v2/completions"])
    async def test_streams_have_no_done(self, serve: Serve, path: str) -> None:
        body = (
            {**CHAT, "stream": True} if "chat" in path else {"model": "foal", "prompt": "hi", "stream": True}
        )
        for llama_says in (Llama(), Llama(cut=True)):
            async with llama.serving(llama_says) as engine, serve(hosted(engine)) as dialect:
                chunks = parse_events(await dialect.client.post(f"/llm-engine{path}", json=body))
                several = parse_events(await dialect.client.post(f"/llm-engine{path}", json={**body, "n": 2}))
            assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
            assert {chunk["model"] for chunk in chunks} == {"paddock/foal"}
            assert {choice["index"] for chunk in several for choice in chunk["choices"]} == {0, 1}

    async def test_an_error_after_the_start(self, serve: Serve) -> None:
        async with llama.serving(Llama(die_after=5)) as engine, serve(hosted(engine)) as dialect:
            for more in ({}, {"n": 2}):
                body = {**CHAT, "stream": True, **more}
                answer = await dialect.client.post("/llm-engine/v2/chat/completions", json=body)
                last = parse_events(answer)[-1]
                assert set(last) == {"error"}
                assert last["error"]["status_code"] == 502
                assert set(last["error"]["content"]) == {"error", "timestamp"}

    async def test_the_endpoint_may_stand_in_the_query(self, serve: Serve) -> None:
        async with llama.serving() as engine, serve(hosted(engine)) as dialect:
            path = "/v2/completions?model_endpoint_name=foal"
            answer = await dialect.ask("POST", path, {"prompt": "hi"})
            assert answer["choices"][0]["text"] == SAID
            await dialect.ask("POST", path, {"prompt": "hi", "model": "foal"})
            assert "name one" in await dialect.detail("POST", path, {"prompt": "hi", "model": "goat"})

    async def test_errors(self, serve: Serve) -> None:
        async with serve() as dialect:
            assert "messages" in await dialect.detail("POST", "/v2/chat/completions", {"model": "foal"})
            assert "'foal' is not served" in await dialect.detail("POST", "/v2/chat/completions", CHAT, 404)

    async def test_what_the_published_types_send_with_every_request(self, serve: Serve) -> None:
        defaults = {
            "best_of": None,
            "use_beam_search": False,
            "length_penalty": 1.0,
            "stop_token_ids": [],
            "min_tokens": 0,
            "skip_special_tokens": True,
            "spaces_between_special_tokens": True,
            "echo": False,
            "add_generation_prompt": True,
            "continue_final_message": False,
            "add_special_tokens": False,
            "priority": 0,
            "guided_decoding_backend": "outlines",
        }
        async with llama.serving() as engine, serve(hosted(engine)) as dialect:
            await dialect.ask("POST", "/v2/chat/completions", {**CHAT, **defaults})
            for name, value in (("use_beam_search", True), ("priority", 5), ("stop_token_ids", [7])):
                said = await dialect.detail("POST", "/v2/chat/completions", {**CHAT, name: value})
                assert said.startswith(f"{name} must be")


class TestEndpoints:
    async def test_from_create_to_delete(self, serve: Serve) -> None:
        async with serve() as dialect:
            made = await dialect.create(name="team/pony")
            assert set(made) == {"endpoint_creation_task_id"}
            found = await dialect.get("team/pony")
            GetLLMEndpointResponse.model_validate(found)
            assert (found["name"], found["status"]) == ("team/pony", "UPDATE_PENDING")
            assert await dialect.get(found["id"]) == found
            assert await dialect.ask("DELETE", f"{ENDPOINTS}/team/pony") == {"deleted": True}
            assert (await dialect.get("team/pony"))["status"] == "DELETE_IN_PROGRESS"

    async def test_a_name_that_is_taken(self, serve: Serve) -> None:
        async with serve() as dialect:
            await dialect.create()
            assert "name 'pony' is taken" in await dialect.detail("POST", ENDPOINTS, PONY)

    async def test_changes(self, serve: Serve) -> None:
        async with serve() as dialect:
            await dialect.create(metadata={"a": 1})
            spec = (await dialect.put(per_worker=4, max_workers=3, labels={"x": "y"}, cpus=2))["spec"]
            assert spec["deployment_state"]["max_workers"] == 3
            assert (spec["deployment_state"]["per_worker"], spec["labels"]) == (4, {"x": "y"})
            assert (spec["resource_state"]["cpus"], spec["metadata"]["a"]) == (2, 1)
            assert spec["metadata"]["hardware_type"] == "CPU_2"
            assert (await dialect.put(metadata={"b": 2}))["spec"]["metadata"]["b"] == 2

    async def test_stop_and_start(self, serve: Serve) -> None:
        async with serve() as dialect:
            await dialect.create(min_workers=1)
            for _ in range(2):
                stopped = await dialect.put(max_workers=0)
                assert stopped["status"] == "READY"
                assert stopped["spec"]["deployment_state"]["max_workers"] == 0
            changed = await dialect.put(per_worker=7)
            assert changed["spec"]["deployment_state"]["max_workers"] == 0
            started = await dialect.put(max_workers=2)
            assert started["status"] == "UPDATE_PENDING"
            state = started["spec"]["deployment_state"]
            assert (state["min_workers"], state["max_workers"], state["per_worker"]) == (1, 2, 7)
            assert "min_workers" in await dialect.detail(
                "PUT", f"{ENDPOINTS}/pony", {"min_workers": 1, "max_workers": 0}
            )

    @pytest.mark.parametrize("name", ["min_workers", "max_workers"])
    async def test_more_workers_than_there_may_be(self, serve: Serve, name: str) -> None:
        async with serve() as dialect:
            made = await dialect.detail("POST", ENDPOINTS, {**PONY, name: 10**6})
            await dialect.create()
            changed = await dialect.detail("PUT", f"{ENDPOINTS}/pony", {name: 10**6})
            assert made == changed == f"{name} must be from 0 to 1000, not 1000000"

    async def test_made_stopped(self, serve: Serve) -> None:
        async with serve() as dialect:
            await dialect.create(max_workers=0)
            assert (await dialect.get())["status"] == "READY"

    async def test_weights_at_a_path(self, serve: Serve) -> None:
        async with serve() as dialect:
            said = await dialect.detail("POST", ENDPOINTS, {**PONY, "checkpoint_path": "/etc"})
            assert said.startswith("checkpoint_path")
            assert "--allow-path" in said

    async def test_a_failure_is_told(self, serve: Serve) -> None:
        def fail(row: DeploymentRow) -> None:
            row.status, row.reason, row.log = "failed", "no room", ["a line"]

        async with serve() as dialect:
            await dialect.create()
            await dialect.change("pony", fail)
            found = await dialect.get()
        assert found["status"] == "UPDATE_FAILED"
        metadata = found["spec"]["metadata"]
        assert (metadata["reason"], metadata["log"]) == ("no room", ["a line"])

    async def test_during_a_delete(self, serve: Serve) -> None:
        async with serve() as dialect:
            await dialect.create()
            await dialect.ask("DELETE", f"{ENDPOINTS}/pony")
            for method, body in (("PUT", {"per_worker": 3}), ("PUT", {"max_workers": 0}), ("DELETE", None)):
                assert await dialect.detail(method, f"{ENDPOINTS}/pony", body, 409) == "pony is being deleted"

    async def test_unknown_ones(self, serve: Serve) -> None:
        async with serve() as dialect:
            for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
                assert "'goat'" in await dialect.detail(method, f"{ENDPOINTS}/goat", body, 404)

    async def test_lists(self, serve: Serve) -> None:
        async def names(dialect: LLMEngine, query: str = "") -> list[str]:
            listed = await dialect.ask("GET", f"{ENDPOINTS}{query}")
            return [one["name"] for one in listed["model_endpoints"]]

        async with serve() as dialect:
            assert await names(dialect) == []
            for name in ("b", "c", "a"):
                await dialect.create(name=name)
            assert await names(dialect) == ["b", "c", "a"]
            assert await names(dialect, "?order_by=newest") == ["a", "c", "b"]
            assert await names(dialect, "?order_by=alphabetical") == ["a", "b", "c"]
            assert await names(dialect, "?name=c") == ["c"]
            assert "order_by must be" in await dialect.detail("GET", f"{ENDPOINTS}?order_by=size")
            assert "query parameter 'size'" in await dialect.detail("GET", f"{ENDPOINTS}?size=1")


class TestRest:
    async def test_health(self, serve: Serve) -> None:
        async with llama.serving() as engine, serve(hosted(engine)) as dialect:
            assert await dialect.ask("GET", "/healthz") == {"status": "ok"}
            assert await dialect.ask("GET", "/readyz") == {"status": "ok"}

    async def test_routes_that_are_not_there(self, serve: Serve) -> None:
        async with serve() as dialect:
            assert "/llm-engine/v1/llm/model-endpoints" in await dialect.detail(
                "GET", "/v1/nothing", status=404
            )
            await dialect.detail("PATCH", f"{ENDPOINTS}/pony", status=405)

    async def test_it_is_documented(self, serve: Serve) -> None:
        async with serve() as dialect:
            document = json.dumps(openapi(dialect.app.mounts))
            shown = page(dialect.app.mounts).decode()
        for text in ("/llm-engine/v1/llm/completions-sync", "model_endpoint_name", "max_new_tokens"):
            assert text in document
            assert text in shown
