"""The LLM Engine reference followed to the letter, over plain HTTP, on a real server with real engines."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest

from paddock.schemas.llm_engine import (
    CompletionStreamV1Response,
    CompletionSyncV1Response,
    GetLLMEndpointResponse,
    ListLLMEndpointsResponse,
)
from tests.e2e.server import Server, serving

NAME = "team/pony"
ENDPOINTS = "v1/llm/model-endpoints"
CREATE = {
    "name": NAME,
    "model_name": "paddock/foal",
    "source": "hugging_face",
    "inference_framework": "vllm",
    "inference_framework_image_tag": "latest",
    "num_shards": 1,
    "quantize": None,
    "checkpoint_path": None,
    "metadata": {"owner": "me"},
    "post_inference_hooks": None,
    "endpoint_type": "streaming",
    "cpus": 1,
    "gpus": None,
    "memory": "512Mi",
    "gpu_type": None,
    "storage": "1Gi",
    "nodes_per_worker": 1,
    "optimize_costs": False,
    "min_workers": 1,
    "max_workers": 1,
    "per_worker": 2,
    "labels": {"team": "stable"},
    "prewarm": True,
    "high_priority": False,
    "billing_tags": {"cost": "centre"},
    "default_callback_url": "https://example.com/done",
    "default_callback_auth": None,
    "public_inference": False,
    "chat_template_override": None,
    "max_model_len": 1024,
    "enable_prefix_caching": True,
}
PROMPT = "The capital of France is"
SEEN = 0.2
"""Seconds within which a change is seen by whoever answers requests."""
GREEDY = {"prompt": PROMPT, "max_new_tokens": 12, "temperature": 0.0}


class Client:
    """Sends what the published client sends: its key twice, and every field."""

    def __init__(self, server: Server) -> None:
        self.http = httpx2.Client(
            base_url=f"{server.url}/llm-engine/", auth=("key", ""), headers={"x-api-key": "key"}, timeout=60
        )

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        response = self.http.request(method, path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    def detail(self, method: str, path: str, body: Any = None, status: int = 400) -> str:
        answer = self.ask(method, path, body, status)
        assert set(answer) == {"detail"}
        return str(answer["detail"])

    def get(self, name: str = NAME) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("GET", f"{ENDPOINTS}/{name}")
        GetLLMEndpointResponse.model_validate(answer)
        return answer

    def ready(self, name: str = NAME) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while True:
            endpoint = self.get(name)
            if endpoint["status"] == "READY" and endpoint["spec"]["deployment_state"]["available_workers"]:
                return endpoint
            assert endpoint["status"] in ("UPDATE_PENDING", "UPDATE_IN_PROGRESS", "READY")
            assert time.monotonic() < deadline, endpoint
            time.sleep(0.02)

    def say(self, model: str = NAME, **more: Any) -> dict[str, Any]:
        path = f"v1/llm/completions-sync?model_endpoint_name={model}"
        answer = CompletionSyncV1Response.model_validate(self.ask("POST", path, {**GREEDY, **more}))
        assert len(answer.request_id) == 32
        return answer.output.model_dump()

    def stream(self, model: str = NAME, **more: Any) -> list[dict[str, Any]]:
        path = f"v1/llm/completions-stream?model_endpoint_name={model}"
        response = self.http.post(path, json={**GREEDY, **more})
        assert response.status_code == 200, response.text
        events = [json.loads(line[6:]) for line in response.text.splitlines() if line]
        assert len({event["request_id"] for event in events}) == 1
        return [CompletionStreamV1Response.model_validate(event).model_dump()["output"] for event in events]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("llm-engine"), "foal") as one:
        yield one


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    one = Client(server)
    with one.http:
        one.ask("POST", ENDPOINTS, CREATE)
        one.ready()
        yield one


class TestEndpoint:
    def test_what_get_says(self, client: Client) -> None:
        endpoint = client.get()
        spec = endpoint.pop("spec")
        assert re.fullmatch("dep-[0-9a-f]{16}", endpoint.pop("id"))
        assert endpoint == {
            "name": NAME,
            "model_name": "paddock/foal",
            "source": "hugging_face",
            "status": "READY",
            "inference_framework": "vllm",
            "inference_framework_tag": "latest",
            "num_shards": 1,
            "quantize": None,
            "chat_template_override": None,
        }
        assert spec["deployment_state"] == {
            "min_workers": 1,
            "max_workers": 1,
            "per_worker": 2,
            "concurrent_requests_per_worker": 2,
            "available_workers": 1,
            "unavailable_workers": 0,
        }
        assert spec["resource_state"] == {
            "cpus": 1,
            "gpus": 0,
            "memory": "512Mi",
            "gpu_type": None,
            "storage": "1Gi",
            "nodes_per_worker": 1,
            "optimize_costs": False,
        }
        assert (spec["metadata"]["owner"], spec["metadata"]["engine"]) == ("me", "llama.cpp")
        assert spec["metadata"]["context_length"] == 1024
        assert spec["metadata"]["asked"]["billing_tags"] == {"cost": "centre"}
        assert (spec["labels"], spec["public_inference"]) == ({"team": "stable"}, False)
        assert spec["default_callback_url"] == "https://example.com/done"
        assert datetime.fromisoformat(spec["created_at"]) <= datetime.fromisoformat(spec["last_updated_at"])
        assert spec["num_queued_items"] == 0

    def test_lists_have_every_dialects_endpoints(self, client: Client, server: Server) -> None:
        body = {"model": "paddock/foal", "name": "mine", "min_workers": 0, "max_workers": 0}
        assert httpx2.post(f"{server.url}/api/v1/deployments", json=body).status_code == 201
        listed = ListLLMEndpointsResponse.model_validate(client.ask("GET", ENDPOINTS)).model_endpoints
        assert {"paddock/foal", NAME, "mine"} <= {one.name for one in listed}
        mine = next(one for one in listed if one.name == "mine")
        assert (mine.status, mine.model_name, mine.inference_framework) == ("READY", "paddock/foal", "vllm")
        models = httpx2.get(f"{server.url}/v1/models").json()["data"]
        assert NAME in {one["id"] for one in models}
        client.ask("DELETE", f"{ENDPOINTS}/mine")

    def test_health(self, client: Client) -> None:
        assert client.ask("GET", "healthz") == {"status": "ok"}
        assert client.ask("GET", "readyz") == {"status": "ok"}


class TestCompletions:
    def test_the_likeliest_tokens(self, client: Client) -> None:
        output = client.say()
        assert output["text"].startswith(" Paris")
        assert (output["num_completion_tokens"], output["tokens"]) == (12, None)
        assert output["num_prompt_tokens"] == 7

    def test_the_older_way_to_name_the_model(self, client: Client) -> None:
        answer = client.ask("POST", "v1/llm/completions-sync", {**GREEDY, "model": NAME})
        assert answer["output"]["text"].startswith(" Paris")

    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"top_k": -1, "top_p": 1.0, "temperature": 1.0},
            {"top_k": 1, "temperature": 0.7},
            {"presence_penalty": 1.5, "frequency_penalty": 0.5},
            {"stop_sequences": []},
            {"skip_special_tokens": True},
            {"guided_choice": ["swan", "sparrow"]},
        ],
    )
    def test_streams_say_what_whole_answers_do(self, client: Client, more: dict[str, Any]) -> None:
        events = client.stream(**more)
        assert [event["finished"] for event in events] == [False] * (len(events) - 1) + [True]
        assert all(event["num_prompt_tokens"] is None for event in events[:-1])
        counts = [event["num_completion_tokens"] for event in events]
        assert counts == sorted(counts)
        assert events[-1]["num_prompt_tokens"] == 7
        if more.get("temperature") != 1.0:
            whole = client.say(**more)
            assert "".join(event["text"] for event in events) == whole["text"]
            assert events[-1]["num_completion_tokens"] == whole["num_completion_tokens"]

    def test_penalties_change_the_answer(self, client: Client) -> None:
        assert client.say(max_new_tokens=40) != client.say(max_new_tokens=40, presence_penalty=2.0)

    @pytest.mark.parametrize("stops", [None, [" capital of", "zzz"], ["ris. The"]])
    def test_log_probabilities_of_each_token(self, client: Client, stops: list[str] | None) -> None:
        more = {"return_token_log_probs": True, "stop_sequences": stops}
        whole, events = client.say(**more), client.stream(**more)
        assert len(whole["tokens"]) == whole["num_completion_tokens"] == len(events)
        said = "".join(token["token"] for token in whole["tokens"])
        assert said.startswith(whole["text"])
        assert stops is not None or said == whole["text"]
        assert [event["token"]["token"] for event in events] == [one["token"] for one in whole["tokens"]]
        for event, one in zip(events, whole["tokens"], strict=True):
            assert -10 < one["log_prob"] <= 0
            assert event["token"]["log_prob"] == pytest.approx(one["log_prob"], abs=1e-3)

    @pytest.mark.parametrize(
        ("stops", "met"),
        [(["zzz", ". The"], ". The"), (["capital", "a"], "a"), (["a", "aris"], "a"), (["Serb", "S"], "S")],
    )
    def test_the_stop_sequence_that_was_met(self, client: Client, stops: list[str], met: str) -> None:
        every = client.say()["text"]
        until = every[: every.index(met)]
        assert client.say(stop_sequences=stops)["text"] == until
        with_it = {"stop_sequences": stops, "include_stop_str_in_output": True}
        assert client.say(**with_it)["text"] == until + met
        assert "".join(event["text"] for event in client.stream(**with_it)) == until + met
        assert client.say(**with_it, max_new_tokens=1)["text"] == " P"

    def test_an_answer_that_the_model_ends_has_no_stop_sequence(self, client: Client) -> None:
        more = {"guided_regex": "no", "stop_sequences": ["x"], "include_stop_str_in_output": True}
        assert client.say(**more)["text"] == "no"
        assert client.stream(**more)[-1]["finished"]

    def test_special_tokens(self, client: Client) -> None:
        turns = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
        asked = {"prompt": turns, "skip_special_tokens": False}
        assert client.say(**asked)["text"] == "The capital of France is Paris."
        shown = client.say(**asked, include_stop_str_in_output=True)["text"]
        assert shown == "The capital of France is Paris.<|im_end|>"

    def test_the_published_smoke_tests(self, client: Client) -> None:
        assert re.fullmatch("Sean.*", client.say(guided_regex="Sean.*")["text"])
        assert client.say(guided_choice=["dog", "cat"])["text"] in ("dog", "cat")
        assert client.say(guided_grammar='start: "John"')["text"] == "John"
        assert client.say(guided_grammar='root ::= "Jo" "hn"')["text"] == "John"
        schema = {
            "type": "object",
            "properties": {"age": {"type": "integer", "maximum": 99}, "tame": {"type": "boolean"}},
            "required": ["age", "tame"],
            "additionalProperties": False,
        }
        said = json.loads(client.say(guided_json=schema, max_new_tokens=60)["text"])
        assert set(said) == {"age", "tame"}
        assert isinstance(said["age"], int)
        assert isinstance(said["tame"], bool)

    @pytest.mark.parametrize("guided", [{"guided_regex": "Sean"}, {"guided_choice": ["swan"]}])
    def test_the_other_dialect_is_guided_too(self, server: Server, guided: dict[str, Any]) -> None:
        body = {"model": NAME, "messages": [{"role": "user", "content": "Who are you?"}], **guided}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=30).json()
        assert answer["choices"][0]["message"]["content"] in ("Sean", "swan")


class TestSecondVersion:
    QUESTION: ClassVar[dict[str, Any]] = {"role": "user", "content": "What is the capital of France?"}

    def test_whole(self, client: Client) -> None:
        body: dict[str, Any] = {"messages": [self.QUESTION], "model": NAME, "temperature": 0}
        answer = client.ask("POST", "v2/chat/completions", body)
        assert "Paris" in answer["choices"][0]["message"]["content"]
        assert (answer["model"], answer["object"]) == (NAME, "chat.completion")
        body = {"prompt": PROMPT, "temperature": 0, "stop": ["."], "include_stop_str_in_output": True}
        answer = client.ask("POST", f"v2/completions?model_endpoint_name={NAME}", body)
        assert answer["choices"][0]["text"] == " Paris."

    @pytest.mark.parametrize("path", ["v2/chat/completions", "v2/completions"])
    def test_streams_end_without_done(self, client: Client, path: str) -> None:
        said = {"messages": [self.QUESTION]} if "chat" in path else {"prompt": PROMPT}
        body = {**said, "model": NAME, "stream": True, "max_tokens": 8, "temperature": 0}
        response = client.http.post(path, json=body)
        chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line]
        assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
        assert {chunk["model"] for chunk in chunks} == {NAME}


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"temperature": 1.5}, "temperature must be at most 1"),
            ({"temperature": None}, "temperature is required"),
            ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
            ({"prompt": 5}, "prompt must be a string"),
            ({"top_p": 0}, "top_p must be greater than 0"),
            ({"stop_sequences": [""]}, "stop_sequences must not contain an empty string"),
            ({"guided_regex": "(a"}, "guided_regex: missing )"),
            ({"guided_grammar": "start: nothing"}, "guided_grammar"),
            ({"guided_json": {"type": "frob"}}, "guided_json: at /type"),
            ({"guided_choice": []}, "guided_choice"),
            ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_regex does not go together"),
            ({"max_tokens": 5}, "'max_tokens' is not a parameter of completions here; did you mean"),
            ({"prompt": "a b " * 2000}, "this model's context is 1024 tokens"),
        ],
    )
    @pytest.mark.parametrize("kind", ["sync", "stream"])
    def test_completions(self, client: Client, kind: str, changes: dict[str, Any], said: str) -> None:
        path = f"v1/llm/completions-{kind}?model_endpoint_name={NAME}"
        assert said in client.detail("POST", path, {**GREEDY, **changes})

    def test_endpoints_that_are_not_there(self, client: Client) -> None:
        assert "model_endpoint_name is missing" in client.detail("POST", "v1/llm/completions-sync", GREEDY)
        unknown = "v1/llm/completions-sync?model_endpoint_name=goat"
        assert "model_endpoint_name 'goat' is not served" in client.detail("POST", unknown, GREEDY, 404)
        assert "'goat'" in client.detail("GET", f"{ENDPOINTS}/goat", status=404)
        assert "'goat'" in client.detail("PUT", f"{ENDPOINTS}/goat", {"max_workers": 1}, 404)
        assert "'goat'" in client.detail("DELETE", f"{ENDPOINTS}/goat", status=404)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"name": NAME}, f"name '{NAME}' is taken"),
            ({"name": "no name"}, "name must be 1 to 128 letters"),
            ({"model_name": "goat"}, "model_name: there is no model 'goat'"),
            ({"checkpoint_path": "s3://goat"}, "checkpoint_path: there is no model 's3://goat'"),
            ({"min_workers": 2}, "min_workers must be at most max_workers"),
            ({"max_model_len": 10**6}, "max_model_len: a context of 1000000 tokens is longer than"),
            ({"inference_framework": "sglang"}, "inference_framework"),
            ({"quantize": "awq"}, "quantize awq cannot be done by llama.cpp"),
            ({"gpus": 8}, "no hardware here has gpus 8"),
            ({"memory": "4000Gi"}, "no hardware here has cpus 1, memory 4000Gi"),
            ({"memory": "much"}, "memory must be bytes, or text such as"),
            ({"num_shards": 2}, "gpus 2"),
            ({"nodes_per_worker": 2}, "nodes_per_worker must be 1"),
            ({"chat_template_override": "{{ x }}"}, "chat_template_override cannot be honoured"),
            ({"max_modellen": 5}, "did you mean 'max_model_len'?"),
        ],
    )
    def test_create(self, client: Client, changes: dict[str, Any], said: str) -> None:
        assert said in client.detail("POST", ENDPOINTS, {**CREATE, "name": "other", **changes})

    def test_weights_that_are_cut_short(self, client: Client, tmp_path: Path) -> None:
        """The engine's own reason is kept, and nothing else goes down."""
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"GGUF\x03\0\0\0" + bytes(100))
        client.ask("POST", ENDPOINTS, {**CREATE, "name": "broken", "checkpoint_path": str(broken)})
        deadline = time.monotonic() + 60
        while (endpoint := client.get("broken"))["status"] != "UPDATE_FAILED":
            assert time.monotonic() < deadline, endpoint
            time.sleep(0.05)
        assert endpoint["spec"]["metadata"]["reason"]
        assert client.say()["text"].startswith(" Paris")
        assert "broken" in client.detail(
            "POST", "v1/llm/completions-sync?model_endpoint_name=broken", GREEDY, 503
        )
        client.ask("DELETE", f"{ENDPOINTS}/broken")


class TestLife:
    def test_update_stop_start_and_delete(self, client: Client) -> None:
        name = "short/lived"
        client.ask("POST", ENDPOINTS, {**CREATE, "name": name})
        client.ready(name)
        task = client.ask(
            "PUT", f"{ENDPOINTS}/{name}", {"per_worker": 3, "labels": {"a": "b"}, "metadata": {}}
        )
        assert set(task) == {"endpoint_creation_task_id"}
        spec = client.get(name)["spec"]
        assert (spec["deployment_state"]["per_worker"], spec["labels"]) == (3, {"a": "b"})
        assert spec["metadata"]["owner"] == "me"

        client.ask("PUT", f"{ENDPOINTS}/{name}", {"max_workers": 0})
        stopped = client.get(name)
        assert (stopped["status"], stopped["spec"]["deployment_state"]["max_workers"]) == ("READY", 0)
        time.sleep(SEEN)
        path = f"v1/llm/completions-sync?model_endpoint_name={name}"
        assert "stopped" in client.detail("POST", path, GREEDY, 503)

        client.ask("PUT", f"{ENDPOINTS}/{name}", {"max_workers": 1, "min_workers": 1})
        client.ready(name)
        assert client.say(name)["text"].startswith(" Paris")

        assert client.ask("DELETE", f"{ENDPOINTS}/{name}") == {"deleted": True}
        deadline = time.monotonic() + 30
        while (left := client.http.get(f"{ENDPOINTS}/{name}")).status_code != 404:
            assert left.json()["status"] == "DELETE_IN_PROGRESS"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert name not in {one["name"] for one in client.ask("GET", ENDPOINTS)["model_endpoints"]}

    def test_a_request_wakes_one_that_sleeps(self, client: Client) -> None:
        """As the published client makes it by default: none at least, one at most."""
        least = {"name": "sleepy", "model_name": "foal", "min_workers": 0, "max_workers": 1, "per_worker": 2}
        client.ask("POST", ENDPOINTS, least)
        time.sleep(SEEN)
        assert client.say("sleepy")["text"].startswith(" Paris")
        client.ask("DELETE", f"{ENDPOINTS}/sleepy")
