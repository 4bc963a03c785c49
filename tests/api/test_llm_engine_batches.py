"""Batches of the LLM Engine dialect: routes over a real store without a worker, and how rows are asked."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import EngineFailed, InvalidRequest, PaddockError, UnsupportedParameter
from paddock.gateway.llm_engine.batch_rows import LLMEngineRows
from paddock.gateway.openai.batch_rows import OpenAIRows
from paddock.inference.routing import Deployment
from paddock.inference.rows import Answer
from paddock.schemas.llm_engine import (
    BatchCompletionsJob,
    ChatCompletionV2Response,
    CompletionOutput,
    CompletionV2Response,
    CreateBatchCompletionsV1Response,
    GetBatchCompletionV2Response,
    ListBatchCompletionV2Response,
    UpdateBatchCompletionsV2Response,
)
from paddock.services import files, jobs
from paddock.services.batches.spec import BatchSpec
from paddock.services.deployments import LOCAL
from tests.api import llama
from tests.api.gateway import attached
from tests.api.llama import PROMPT_TOKENS, TOKENS, Llama, hosted
from tests.api.llm_engine import LLMEngine, serving_llm_engine

V1, V2 = "/v1/llm/batch-completions", "/v2/batch-completions"
SAID = "".join(TOKENS)
PROMPTS: dict[str, Any] = {"prompts": ["a", "b"], "max_new_tokens": 5, "temperature": 0}
CHATS: list[dict[str, Any]] = [{"messages": [{"role": "user", "content": "hi"}]}]
ASKED: dict[str, Any] = {
    "model_config": {"model": "paddock/foal"},
    "content": PROMPTS,
    "output_data_path": "out.json",
}


@pytest.fixture
async def dialect(tmp_path: Path) -> AsyncIterator[LLMEngine]:
    """Nothing is served; the bundled model is known."""
    async with serving_llm_engine(tmp_path) as found:
        yield found


async def upload(dialect: LLMEngine, content: bytes, name: str = "in.json") -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield content

    received = await files.receive(dialect.platform, pieces())
    return (await files.keep(dialect.platform, LOCAL, received, name, "batch")).id


async def create(dialect: LLMEngine, path: str = V1, **more: Any) -> str:
    answer = await dialect.ask("POST", path, {**ASKED, **more})
    return str(answer["job_id"])


async def spec_of(dialect: LLMEngine, identity: str) -> BatchSpec:
    return BatchSpec.from_json((await jobs.get(dialect.platform, LOCAL, identity)).spec)


def config(**more: Any) -> dict[str, Any]:
    return {"model_config": {"model": "paddock/foal", **more}}


class TestCreate:
    async def test_first_version(self, dialect: LLMEngine) -> None:
        made = await dialect.ask("POST", V1, {**ASKED, "priority": "high", "labels": {"team": "a"}})
        assert (
            set(CreateBatchCompletionsV1Response.model_validate(made).model_dump()) == {"job_id"} == set(made)
        )
        job = await jobs.get(dialect.platform, LOCAL, made["job_id"])
        assert (job.dialect, job.kind, job.model) == ("llm_engine.v1", "batch", "paddock/foal")
        assert (job.output, job.priority, job.labels) == ("name:out.json", 10, {"team": "a"})
        assert job.deadline_at - job.created_at == 24 * 3600
        spec = BatchSpec.from_json(job.spec)
        assert (spec.input_kind, spec.output_kind, spec.output) == ("blob", "name", "out.json")
        assert (spec.replicas, spec.apart, spec.wish) == (1, False, {"model": "paddock/foal"})
        kept = b"".join([piece async for piece in dialect.platform.blobs.read(spec.input)])
        assert json.loads(kept) == PROMPTS

    async def test_second_version(self, dialect: LLMEngine) -> None:
        before = time.time()
        made = await dialect.ask(
            "POST", V2, {**ASKED, "content": CHATS, "max_runtime_sec": 60, "data_parallelism": 3}
        )
        parsed = BatchCompletionsJob.model_validate(made)
        assert parsed.model_config.model == "paddock/foal"  # type: ignore[attr-defined]
        assert made["status"] == "queued"
        assert (made["input_data_path"], made["output_data_path"]) == (None, "out.json")
        assert made["created_at"].endswith("+00:00")
        assert made["completed_at"] is None
        job = await jobs.get(dialect.platform, LOCAL, made["job_id"])
        assert job.dialect == "llm_engine.v2"
        assert before + 59 < job.deadline_at < time.time() + 61
        assert BatchSpec.from_json(job.spec).replicas == 3

    async def test_prompts_in_the_second_version(self, dialect: LLMEngine) -> None:
        assert (await dialect.ask("POST", V2, ASKED))["status"] == "queued"

    @pytest.mark.parametrize("path", [V1, V2])
    async def test_as_the_published_client_sends_it(self, dialect: LLMEngine, path: str) -> None:
        """With nulls and defaults for all that its caller did not say."""
        body = {
            **ASKED,
            "input_data_path": None,
            "labels": {},
            "data_parallelism": 1,
            "max_runtime_sec": 86400,
            "priority": None,
            "tool_config": None,
            "cpus": None,
            "gpus": None,
            "memory": None,
            "gpu_type": None,
            "storage": None,
            "nodes_per_worker": None,
            **config(num_shards=1, seed=None, max_context_length=None, response_role=None, labels={"a": "b"}),
        }
        made = await dialect.ask("POST", path, body)
        job = await jobs.get(dialect.platform, LOCAL, made["job_id"])
        assert job.labels == {"a": "b"}
        assert BatchSpec.from_json(job.spec).apart is False

    async def test_labels_of_both_places(self, dialect: LLMEngine) -> None:
        identity = await create(dialect, labels={"a": "top"}, **config(labels={"a": "deep", "b": "deep"}))
        job = await jobs.get(dialect.platform, LOCAL, identity)
        assert job.labels == {"a": "top", "b": "deep"}

    async def test_from_a_file(self, dialect: LLMEngine) -> None:
        file = await upload(dialect, json.dumps(PROMPTS).encode())
        identity = await create(dialect, content=None, input_data_path="in.json")
        spec = await spec_of(dialect, identity)
        assert (spec.input_kind, spec.input) == ("file", file)
        assert (await dialect.ask("GET", f"{V2}/{identity}"))["job"]["input_data_path"] == "in.json"
        assert (await jobs.get(dialect.platform, LOCAL, identity)).input == f"file:{file}"

    @pytest.mark.parametrize(
        ("more", "wish"),
        [
            (config(max_context_length=128), {"context_length": 128}),
            (config(max_model_len=128, max_num_seqs=2), {"context_length": 128, "slots": 2}),
            (config(checkpoint_path="foal"), {"model": "foal"}),
            (config(dtype="float16"), {"quantize": "F16"}),
            ({"cpus": 2, "memory": "1Gi"}, {"hardware_type": "CPU_2"}),
        ],
    )
    async def test_replicas_of_its_own(
        self, dialect: LLMEngine, more: dict[str, Any], wish: dict[str, Any]
    ) -> None:
        spec = await spec_of(dialect, await create(dialect, **more))
        assert spec.apart is True
        assert spec.wish == {"model": "paddock/foal", **wish}

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"content": None}, "neither is given"),
            ({"input_data_path": "in.json"}, "both content and input_data_path are given"),
            ({"content": None, "input_data_path": "in.json"}, "no stored file is called 'in.json'"),
            ({"content": None, "input_data_path": "/etc/passwd"}, "--allow-path"),
            ({"output_data_path": "/tmp/x"}, "--allow-path"),
            ({"model_config": {"model": ""}}, "model_config.model must not be an empty string"),
            ({"output_data_path": "http://x/y"}, "output_data_path must be"),
            ({"output_data_path": None}, "output_data_path is required"),
            ({"model_config": None}, "model_config is required"),
            ({"model_config": {}}, "model_config.model is required"),
            ({"content": {**PROMPTS, "prompts": []}}, "content must not be empty"),
            ({"content": {**PROMPTS, "prompts": ["a", 5]}}, "prompts.1 must be a string, not 5"),
            ({"content": {**PROMPTS, "temperature": 7}}, "temperature must be less than or equal to 1"),
            ({"content": {"prompts": ["a"]}}, "max_new_tokens is required"),
            ({"content": CHATS}, "content must be an object with prompts"),
            ({"content": "a"}, "content must be an object with prompts"),
            ({"data_parallelism": 65}, "data_parallelism must be at most 64"),
            ({"data_parallelism": 0}, "data_parallelism must be at least 1"),
            ({"max_runtime_sec": 0}, "max_runtime_sec must be at least 1"),
            ({"priority": "urgent"}, "priority must be"),
            ({"tool_config": {"name": "python"}}, "tool_config cannot be honoured"),
            ({"colour": "red"}, "'colour' is not a field of batches"),
            ({"output_path": "x"}, "did you mean 'output_data_path'?"),
            (config(colour="red"), "'model_config.colour' is not a field of batches"),
            (config(max_context_length=10**6), "model_config.max_context_length"),
            (config(max_context_length=2**62), "model_config.max_context_length must be at most 2147483647"),
            (config(max_model_len=2**31), "model_config.max_model_len must be at most 2147483647"),
            (config(max_model_len=10**6), "model_config.max_model_len"),
            (config(max_num_seqs=2**62), "model_config.max_num_seqs must be at most 2147483647"),
            (config(tokenizer="other"), "tokenizer cannot be honoured"),
            (config(revision="main"), "revision cannot be honoured"),
            (config(model="no-such-model"), "model_config.model: there is no model 'no-such-model'"),
            (config(checkpoint_path="/etc/passwd"), "may be named here"),
            ({"gpus": 8}, "no hardware here has gpus 8"),
            ({"cpus": "many"}, "cpus must be cores"),
            ({"memory": "900Ti"}, "no hardware here has memory"),
            ({"nodes_per_worker": 2}, "nodes_per_worker must be 1"),
        ],
    )
    async def test_what_is_refused(self, dialect: LLMEngine, more: dict[str, Any], said: str) -> None:
        assert said in await dialect.detail("POST", V1, {**ASKED, **more})
        assert (await dialect.ask("GET", V1))["jobs"] == []

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ([], "content must not be empty"),
            ([*CHATS, 5], "request 1 must be an object"),
            ([*CHATS, {"prompt": "a"}], "request 1 asks for a completion"),
            ([{**CHATS[0], "stream": True}], "stream must not be true"),
        ],
    )
    async def test_requests_that_are_refused(self, dialect: LLMEngine, content: Any, said: str) -> None:
        assert said in await dialect.detail("POST", V2, {**ASKED, "content": content})

    async def test_no_json(self, dialect: LLMEngine) -> None:
        for body in (b"{", b"[]", b'"a"'):
            response = await dialect.client.post(f"/llm-engine{V1}", content=body)
            assert response.status_code == 400

    async def test_an_output_that_is_taken(self, dialect: LLMEngine) -> None:
        identity = await create(dialect)
        assert identity in await dialect.detail("POST", V1, ASKED)
        await dialect.ask("POST", f"{V2}/{identity}/actions/cancel")
        await create(dialect)
        await upload(dialect, b"[]", "other.json")
        said = await dialect.detail("POST", V1, {**ASKED, "output_data_path": "other.json"})
        assert "is called 'other.json' already" in said

    async def test_what_was_refused_leaves_nothing(self, dialect: LLMEngine) -> None:
        await create(dialect)
        before = await dialect.platform.blobs.list("jobs")
        await dialect.detail("POST", V1, ASKED)
        assert await dialect.platform.blobs.list("jobs") == before


class TestModels:
    async def test_one_that_is_served(self, tmp_path: Path) -> None:
        async with llama.serving() as engine, serving_llm_engine(tmp_path, hosted(engine)) as dialect:
            spec = await spec_of(dialect, await create(dialect, **config(model="foal")))
        assert spec.apart is False

    async def test_an_attached_server(self, tmp_path: Path) -> None:
        server = attached("http://127.0.0.1:9/v1", "theirs", "theirs")
        async with serving_llm_engine(tmp_path, server) as dialect:
            identity = await create(dialect, **config(model="theirs"))
            made = await jobs.get(dialect.platform, LOCAL, identity)
            found = await dialect.platform.store.read(
                lambda session: jobs.find(session, LOCAL, made.id).needs
            )
        assert found == "theirs"

    async def test_one_that_cannot_be_asked(self, tmp_path: Path) -> None:
        stopped = attached("http://127.0.0.1:9/v1", "stopped", "x", engine="llama.cpp")
        stopped.stopped = True
        vectors = attached("http://127.0.0.1:9/v1", "vectors", "x", engine="llama.cpp", generates=False)
        async with serving_llm_engine(tmp_path, stopped, vectors) as dialect:
            said = await dialect.detail("POST", V1, {**ASKED, **config(model="stopped")})
            assert "model_config.model: 'stopped' is stopped on purpose" in said
            said = await dialect.detail("POST", V1, {**ASKED, **config(model="vectors")})
            assert "embeddings only" in said


class TestLooking:
    async def test_either_version_sees_both(self, dialect: LLMEngine) -> None:
        first = await create(dialect)
        second = await create(dialect, V2, output_data_path="two.json")
        for path in (V1, V2):
            listed = ListBatchCompletionV2Response.model_validate(await dialect.ask("GET", path))
            assert [job.job_id for job in listed.jobs] == [second, first]
        for identity in (first, second):
            found = await dialect.ask("GET", f"{V2}/{identity}")
            assert set(found) == {"job"}
            assert GetBatchCompletionV2Response.model_validate(found).job.job_id == identity
            flat = await dialect.ask("GET", f"{V1}/{identity}")
            assert flat.pop("job") == found["job"] == flat

    @pytest.mark.parametrize(
        ("state", "status"),
        [
            ("queued", "queued"),
            ("running", "running"),
            ("completed", "completed"),
            ("failed", "failed"),
            ("cancelled", "cancelled"),
            ("expired", "failed"),
        ],
    )
    async def test_how_it_is(self, dialect: LLMEngine, state: str, status: str) -> None:
        identity = await create(dialect)

        def work(session: Any) -> None:
            row = jobs.find(session, LOCAL, identity)
            row.state, row.total, row.done, row.failed = state, 5, 3, 1
            row.finished_at = None if state in ("queued", "running") else time.time()
            row.results, row.reason = {"output_file_id": "file-1"}, "because"

        await dialect.platform.store.change(work)
        found = (await dialect.ask("GET", f"{V2}/{identity}"))["job"]
        assert found["status"] == status
        assert (found["completed_at"] is not None) is (state == "completed")
        assert found["request_counts"] == {"total": 5, "completed": 2, "failed": 1}
        assert (found["output_file_id"], found["reason"]) == ("file-1", "because")

    @pytest.mark.parametrize("path", [V1, V2])
    async def test_one_that_is_not_there(self, dialect: LLMEngine, path: str) -> None:
        for method, tail in (("GET", ""), ("POST", "/actions/cancel")):
            assert "batch_1" in await dialect.detail(method, f"{path}/batch_1{tail}", None, 404)
        await dialect.detail("POST", f"{path}/batch_1", {"priority": "1"}, 404)


class TestChanging:
    async def test_priority(self, dialect: LLMEngine) -> None:
        identity = await create(dialect)
        changed = await dialect.ask("POST", f"{V2}/{identity}", {"job_id": identity, "priority": "7"})
        parsed = UpdateBatchCompletionsV2Response.model_validate(changed)
        assert (parsed.success, parsed.priority) == (True, "7")
        assert (await jobs.get(dialect.platform, LOCAL, identity)).priority == 7

    @pytest.mark.parametrize(
        "body",
        [{}, {"priority": "x"}, {"job_id": "batch_1", "priority": "1"}, {"priority": "1", "colour": 1}],
    )
    async def test_what_cannot_be_changed(self, dialect: LLMEngine, body: dict[str, Any]) -> None:
        identity = await create(dialect)
        await dialect.detail("POST", f"{V2}/{identity}", body)
        assert (await jobs.get(dialect.platform, LOCAL, identity)).priority == 0

    @pytest.mark.parametrize("path", [V1, V2])
    async def test_cancel(self, dialect: LLMEngine, path: str) -> None:
        identity = await create(dialect)
        assert await dialect.ask("POST", f"{path}/{identity}/actions/cancel", {}) == {"success": True}
        assert (await dialect.ask("GET", f"{path}/{identity}"))["job"]["status"] == "cancelled"
        assert await dialect.ask("POST", f"{path}/{identity}/actions/cancel", {}) == {"success": False}


@pytest.fixture
async def foal() -> AsyncIterator[tuple[Llama, Deployment]]:
    async with llama.serving() as engine:
        deployment = hosted(engine)
        yield engine, deployment
        for replica in deployment.replicas:
            replica.upstream.close()


def said(fields: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """What the rows are told."""
    asked = {"model_config": {"model": "foal", **config}}
    return {"asked": asked, "fields": {"max_new_tokens": 5, "temperature": 0.5} | (fields or {})}


async def ask(deployment: Deployment, spec: dict[str, Any], row: Any) -> Answer:
    return await LLMEngineRows(OpenAIRows().answer).ask(spec, deployment, json.dumps(row).encode(), 0)


class TestRows:
    async def test_a_prompt(self, foal: tuple[Llama, Deployment]) -> None:
        engine, deployment = foal
        found = await ask(deployment, said(), "hi")
        (sent,) = engine.engine.bodies
        assert json.loads(found.body) == {
            "text": SAID,
            "num_prompt_tokens": PROMPT_TOKENS,
            "num_completion_tokens": len(TOKENS),
            "tokens": None,
        }
        assert (found.failed, found.tokens) == (False, PROMPT_TOKENS + len(TOKENS))
        assert (sent["prompt"], sent["max_tokens"], sent["temperature"]) == ("hi", 5, 0.5)
        assert (sent["top_k"], sent["top_p"]) == (-1, 1.0)
        assert "seed" not in sent

    async def test_with_all_that_goes_with_it(self, foal: tuple[Llama, Deployment]) -> None:
        engine, deployment = foal
        fields = {"stop_sequences": ["x"], "top_k": 5, "return_token_log_probs": True}
        found = await ask(deployment, said(fields, seed=7), "hi")
        (sent,) = engine.engine.bodies
        assert len(json.loads(found.body)["tokens"]) == len(TOKENS)
        assert (sent["stop"], sent["top_k"], sent["seed"]) == (["x"], 5, 7)
        CompletionOutput.model_validate_json(found.body)

    async def test_a_chat(self, foal: tuple[Llama, Deployment]) -> None:
        engine, deployment = foal
        found = await ask(deployment, said(seed=7), {**CHATS[0], "max_tokens": 9, "temperature": None})
        (sent,) = engine.engine.bodies
        parsed = ChatCompletionV2Response.model_validate_json(found.body)
        assert parsed.model == "paddock/foal"
        assert parsed.choices[0].message.content == SAID
        assert (sent["seed"], sent["max_tokens"]) == (7, 9)
        assert found.tokens == PROMPT_TOKENS + len(TOKENS)
        assert b"\n" not in found.body

    async def test_a_completion_with_a_seed_of_its_own(self, foal: tuple[Llama, Deployment]) -> None:
        engine, deployment = foal
        found = await ask(deployment, said(seed=7), {"prompt": "hi", "seed": 3, "model": "foal"})
        assert CompletionV2Response.model_validate_json(found.body).choices[0].text == SAID
        assert engine.engine.bodies[0]["seed"] == 3

    async def test_the_role_that_is_asked_for(self, foal: tuple[Llama, Deployment]) -> None:
        _, deployment = foal
        for role in (None, "assistant", "pony"):
            found = json.loads((await ask(deployment, said(response_role=role), CHATS[0])).body)
            assert found["choices"][0]["message"]["role"] == (role or "assistant")
        await ask(deployment, said(response_role="pony"), {"prompt": "hi"})

    async def test_the_published_clients_name_for_a_schema(self, foal: tuple[Llama, Deployment]) -> None:
        engine, deployment = foal
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema_": {"type": "object"}}}
        await ask(deployment, said(), {**CHATS[0], "response_format": wanted})
        assert "schema_" not in json.dumps(engine.engine.bodies)

    @pytest.mark.parametrize(
        ("fields", "row", "error", "param"),
        [
            ({"guided_regex": "("}, "hi", InvalidRequest, "guided_regex"),
            ({}, {**CHATS[0], "temperature": 99}, InvalidRequest, "temperature"),
            ({}, {**CHATS[0], "colour": 1}, UnsupportedParameter, "colour"),
            ({}, {"prompt": {}}, InvalidRequest, "prompt"),
            ({}, {**CHATS[0], "model": "other"}, InvalidRequest, "model"),
            ({}, {**CHATS[0], "response_format": 5}, InvalidRequest, "response_format"),
        ],
    )
    async def test_what_is_wrong(
        self,
        foal: tuple[Llama, Deployment],
        fields: dict[str, Any],
        row: Any,
        error: type[PaddockError],
        param: str,
    ) -> None:
        with pytest.raises(error) as raised:
            await ask(foal[1], said(fields), row)
        assert (raised.value.param or "").startswith(param)

    async def test_an_answer_that_nobody_understands(self, foal: tuple[Llama, Deployment]) -> None:
        engine, deployment = foal
        engine.tokens = []
        engine.die_after = 0
        with pytest.raises(EngineFailed):
            await ask(deployment, said({"return_token_log_probs": True}), "hi")


class TestErrors:
    def test_in_the_place_of_an_output(self) -> None:
        error = InvalidRequest("it is wrong", param="prompt", code="wrong")
        found = LLMEngineRows(OpenAIRows().answer).error(said(), b'"hi"', 0, error)
        assert found.failed is True
        parsed = CompletionOutput.model_validate_json(found.body)
        assert (parsed.text, parsed.num_completion_tokens, parsed.num_prompt_tokens) == ("", 0, None)
        assert json.loads(found.body)["error"] == {"code": "wrong", "message": "it is wrong"}

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (InvalidRequest("wrong", param="x"), "invalid_request_error"),
            (EngineFailed("wrong", param="x"), "server_error"),
        ],
    )
    def test_in_the_place_of_a_response(self, error: PaddockError, kind: str) -> None:
        found = LLMEngineRows(OpenAIRows().answer).error(said(), b'{"prompt":"hi"}', 0, error)
        assert found.failed is True
        assert json.loads(found.body) == {
            "error": {"message": "wrong", "type": kind, "param": "x", "code": error.code}
        }
