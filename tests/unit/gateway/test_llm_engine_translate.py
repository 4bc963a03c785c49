"""What an endpoint's owner asks for as a wish for a deployment, and a deployment as an endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paddock.errors import InvalidRequest, PaddockError, UnsupportedParameter
from paddock.gateway.llm_engine.bodies import read_create, read_update
from paddock.gateway.llm_engine.completions import SYNC, neutral
from paddock.gateway.llm_engine.errors import own_fields
from paddock.gateway.llm_engine.hooks import MASK
from paddock.gateway.llm_engine.translate import (
    asked_before,
    create_wish,
    details,
    names,
    new_details,
    update_wish,
)
from paddock.gateway.llm_engine.views import endpoint
from paddock.schemas.hardware import HardwareType
from paddock.schemas.llm_engine import GetLLMEndpointResponse
from paddock.schemas.own import Deployment, Replica

TYPES = {f"CPU_{n}": HardwareType(f"CPU_{n}", n, n * 2**31) for n in (1, 2, 4)}
LEAST = {"name": "pony", "model_name": "foal", "min_workers": 0, "max_workers": 1, "per_worker": 2}


def given(**more: Any) -> dict[str, Any]:
    return read_create(json.dumps({**LEAST, **more}).encode())


def wished(**more: Any) -> dict[str, Any]:
    return create_wish(given(**more), TYPES).model_dump(exclude_unset=True)


def deployment(asked: dict[str, Any] | None = None, hardware: str | None = None, **more: Any) -> Deployment:
    values: dict[str, Any] = {
        "id": "dep-1",
        "name": "pony",
        "project": "local",
        "model": "paddock/foal",
        "source": "paddock/foal",
        "engine": "llama.cpp",
        "hardware_type": "CPU_2",
        "context_length": 2048,
        "min_workers": 1,
        "max_workers": 2,
        "per_worker": 3,
        "idle_timeout": 60.0,
        "options": {"weights_type": "auto"},
        "status": "ready",
        "serving": True,
        "reason": "",
        "log": [],
        "generation": 1,
        "replicas": [],
        "created_at": 1e9,
        "updated_at": 1e9 + 5,
        "started_at": None,
        "stopped_at": None,
        "details": {} if asked is None else {"llm_engine": {"asked": asked, "hardware_type": hardware}},
    }
    return Deployment(**{**values, **more})


def replica(state: str) -> Replica:
    return Replica.model_validate(
        {
            "id": f"rep-{state}",
            "generation": 1,
            "state": state,
            "node": "here",
            "hardware_type": "CPU_2",
            "step": 1,
            "description": "",
            "done": 0,
            "total": 0,
            "reason": "",
            "created_at": 0.0,
            "ready_at": None,
            "ended_at": None,
        }
    )


def shown(*arguments: Any, **more: Any) -> dict[str, Any]:
    answer = endpoint(deployment(*arguments, **more), TYPES, 0)
    GetLLMEndpointResponse.model_validate(answer)
    return answer


class TestCreate:
    def test_what_the_published_client_sends_by_default(self) -> None:
        nulls = dict.fromkeys(("quantize", "checkpoint_path", "cpus", "memory", "gpus", "max_model_len"))
        wish = wished(**nulls, metadata={}, labels={}, trust_remote_code=False, nodes_per_worker=1)
        assert wish == {
            "name": "pony",
            "model": "foal",
            "hardware_type": None,
            "quantize": None,
            "min_workers": 0,
            "max_workers": 1,
            "per_worker": 2,
            "labels": {},
        }

    def test_names_that_mean_the_same(self) -> None:
        wish = wished(
            max_model_len=512, max_num_seqs=4, checkpoint_path="/models/x", cpus=2, labels={"a": "b"}
        )
        assert (wish["context_length"], wish["slots"], wish["model"]) == (512, 4, "/models/x")
        assert (wish["hardware_type"], wish["labels"]) == ("CPU_2", {"a": "b"})

    @pytest.mark.parametrize(
        "more",
        [
            {"quantize": "Q8_0"},
            {"quantization": "Q8_0"},
            {"quantization": "Q8_0", "quantize": "Q8_0", "dtype": "auto"},
        ],
    )
    def test_the_type_of_the_weights(self, more: dict[str, Any]) -> None:
        assert wished(**more)["quantize"] == "Q8_0"
        assert wished(dtype="bfloat16")["quantize"] == "BF16"

    @pytest.mark.parametrize(
        "more",
        [
            {"high_priority": True, "prewarm": True, "optimize_costs": True, "billing_tags": {"a": 1}},
            {"default_callback_url": "https://example.com/x", "post_inference_hooks": []},
            {
                "default_callback_url": "https://example.com/x",
                "post_inference_hooks": ["callback", "billing"],
            },
            {"default_callback_auth": {"kind": "basic", "username": "u", "password": "p"}},
            {"storage": "40Gi", "public_inference": False, "inference_framework": "tensorrt_llm"},
            {"enforce_eager": True, "gpu_memory_utilization": 0.9, "enable_prefix_caching": True},
            {"tensor_parallel_size": 1, "pipeline_parallel_size": 1, "served_model_name": "pony"},
            {"load_format": "auto", "trust_remote_code": True, "disable_log_requests": True, "seed": 0},
        ],
    )
    def test_what_changes_no_answer_is_taken(self, more: dict[str, Any]) -> None:
        assert wished(**more) == wished()

    @pytest.mark.parametrize(
        ("more", "param"),
        [
            ({"quantize": "awq"}, "quantize"),
            ({"quantize": "bitsandbytes"}, "quantize"),
            ({"quantize": "Q4"}, "quantize"),
            ({"quantization": "gptq"}, "quantization"),
            ({"quantize": "F16", "dtype": "bfloat16"}, "quantize"),
            ({"dtype": "float8"}, "dtype"),
            ({"chat_template_override": "x"}, "chat_template_override"),
            ({"chat_template": "x"}, "chat_template"),
            (
                {"default_callback_auth": {"kind": "mtls", "cert": "c", "key": "k"}},
                "default_callback_auth",
            ),
            ({"post_inference_hooks": ["other"]}, "post_inference_hooks"),
            ({"nodes_per_worker": 2}, "nodes_per_worker"),
            ({"num_shards": 2}, "gpus"),
            ({"tensor_parallel_size": 4}, "gpus"),
            ({"pipeline_parallel_size": 2}, "pipeline_parallel_size"),
            ({"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
            ({"revision": "main"}, "revision"),
            ({"tokenizer": "other/one"}, "tokenizer"),
            ({"served_model_name": "other"}, "served_model_name"),
            ({"load_format": "dummy"}, "load_format"),
            ({"storage": "lots"}, "storage"),
            ({"cpus": []}, "cpus"),
            ({"name": ""}, "name"),
            ({"model_name": ""}, "model_name"),
            ({"max_model_len": 0}, "max_model_len"),
            ({"per_worker": 2**40}, "per_worker"),
            ({"per_worker": 0}, "per_worker"),
            ({"min_workers": -1}, "min_workers"),
            ({"source": "s3"}, "source"),
            ({"inference_framework": "llama.cpp"}, "inference_framework"),
            ({"endpoint_type": "sync"}, "endpoint_type"),
            ({"gpu_type": "nvidia-l4"}, "gpu_type"),
            ({"labels": {"a": 5}}, "labels.a"),
            ({"default_callback_url": "example"}, "default_callback_url"),
            ({"nmae": "x"}, "nmae"),
            ({"billing_tags": {"a": 10**25}}, "billing_tags"),
            ({"cpus": 10**25}, "cpus"),
        ],
    )
    def test_what_cannot_be_is_named(self, more: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            wished(**more)
        assert caught.value.param == param
        assert param.split(".")[0] in caught.value.message

    def test_what_is_required(self) -> None:
        for name in LEAST:
            with pytest.raises(InvalidRequest) as caught:
                read_create(json.dumps({**LEAST, name: None}).encode())
            assert caught.value.message == f"{name} is required"


class TestUpdate:
    def change(self, before: Deployment, **changes: Any) -> dict[str, Any]:
        asked = asked_before(before)
        fields = read_update(json.dumps(changes).encode(), asked)
        return update_wish(fields, asked, TYPES).model_dump(exclude_unset=True)

    def test_only_what_is_given_changes(self) -> None:
        nulls = dict.fromkeys(("model_name", "cpus", "min_workers", "labels", "quantize"))
        assert self.change(deployment({}), **nulls, metadata={}) == {}
        assert self.change(deployment({}), per_worker=5, max_workers=3) == {"per_worker": 5, "max_workers": 3}

    def test_no_workers_at_most_is_a_stop_and_no_wish(self) -> None:
        assert self.change(deployment({}), max_workers=0, min_workers=0, per_worker=5) == {"per_worker": 5}

    def test_hardware_is_chosen_by_all_that_was_ever_asked(self) -> None:
        before = deployment({"cpus": 4})
        assert self.change(before, memory="1Gi") == {"hardware_type": "CPU_4"}
        assert self.change(before, cpus=1) == {"hardware_type": "CPU_1"}
        assert self.change(deployment({}), num_shards=1) == {}

    def test_which_model(self) -> None:
        before = deployment({"model_name": "foal", "checkpoint_path": "/models/tuned"})
        assert self.change(before, model_name="foal") == {}
        assert self.change(before, model_name="horse") == {"model": "horse"}
        assert self.change(before, checkpoint_path="/models/new") == {"model": "/models/new"}
        assert self.change(before, model_name="horse", checkpoint_path="/x") == {"model": "/x"}

    def test_the_type_of_the_weights_and_back(self) -> None:
        assert self.change(deployment({}), quantize="F16") == {"quantize": "F16"}
        assert self.change(deployment({}), dtype="auto") == {"quantize": None}

    def test_what_cannot_change(self) -> None:
        before = deployment({"inference_framework": "deepspeed"})
        assert self.change(before, endpoint_type="streaming", nodes_per_worker=1) == {}
        assert self.change(before, inference_framework="deepspeed") == {}
        for changes in ({"inference_framework": "vllm"}, {"nodes_per_worker": 2}, {"endpoint_type": "async"}):
            with pytest.raises(InvalidRequest) as caught:
                self.change(before, **changes)
            assert "cannot be changed" in caught.value.message

    @pytest.mark.parametrize("changes", [{"force_bundle_recreation": True}, {"name": "other"}])
    def test_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(UnsupportedParameter) as caught:
            self.change(deployment({}), **changes)
        assert caught.value.param == next(iter(changes))

    def test_what_is_kept(self) -> None:
        before = deployment({"metadata": {"a": 1}, "cpus": 1, "checkpoint_path": "/x"}, "CPU_1")
        changes = read_update(
            json.dumps({"metadata": {}, "model_name": "horse", "memory": "3Gi"}).encode(), {}
        )
        wish = update_wish(changes, asked_before(before), TYPES)
        assert new_details(changes, before, wish)["llm_engine"] == {
            "asked": {"metadata": {"a": 1}, "cpus": 1, "model_name": "horse", "memory": "3Gi"},
            "hardware_type": "CPU_2",
        }


class TestView:
    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("pending", "UPDATE_PENDING"),
            ("starting", "UPDATE_IN_PROGRESS"),
            ("ready", "READY"),
            ("asleep", "READY"),
            ("stopped", "READY"),
            ("failed", "UPDATE_FAILED"),
            ("deleting", "DELETE_IN_PROGRESS"),
        ],
    )
    def test_status(self, status: str, said: str) -> None:
        answer = shown(status=status)
        assert (answer["status"], answer["spec"]["status"]) == (said, said)

    def test_workers(self) -> None:
        replicas = [replica("ready"), replica("ready"), replica("loading"), replica("draining")]
        state = shown(replicas=replicas)["spec"]["deployment_state"]
        assert (state["available_workers"], state["unavailable_workers"]) == (2, 1)
        assert (state["min_workers"], state["max_workers"], state["per_worker"]) == (1, 2, 3)
        assert shown(status="stopped")["spec"]["deployment_state"]["max_workers"] == 0

    def test_one_that_another_dialect_made(self) -> None:
        answer = shown()
        assert (answer["model_name"], answer["inference_framework"]) == ("paddock/foal", "vllm")
        assert (answer["inference_framework_tag"], answer["spec"]["public_inference"]) == (None, True)
        assert answer["spec"]["resource_state"]["cpus"] == 2
        assert answer["spec"]["created_at"] == "2001-09-09T01:46:40+00:00"

    def test_what_was_asked_for_is_shown_again(self) -> None:
        fields = given(
            inference_framework="lightllm",
            inference_framework_image_tag="0.1",
            metadata={"mine": 1, "engine": "steam"},
            cpus=1,
            high_priority=True,
            default_callback_url="https://example.com",
            default_callback_auth={"kind": "basic", "username": "u", "password": "secret"},
        )
        kept = details(fields, "CPU_1")["llm_engine"]
        answer = shown(kept["asked"], kept["hardware_type"], hardware_type="CPU_1")
        spec = answer["spec"]
        assert (answer["inference_framework"], answer["inference_framework_tag"]) == ("lightllm", "0.1")
        assert (spec["metadata"]["mine"], spec["metadata"]["engine"]) == (1, "llama.cpp")
        assert spec["metadata"]["asked"] == {"cpus": 1, "high_priority": True}
        assert "secret" not in json.dumps(spec["metadata"])
        assert "secret" not in json.dumps(answer)
        assert spec["default_callback_auth"] == {"kind": "basic", "username": "u", "password": MASK}
        assert (spec["resource_state"]["cpus"], answer["model_name"]) == (1, "foal")

    def test_what_is_its_owners_and_what_is_its_managers(self) -> None:
        fields = given(
            metadata={"mine": 1},
            high_priority=True,
            post_inference_hooks=["callback"],
            default_callback_url="https://example.com/done",
        )
        kept = details(fields, None)["llm_engine"]["asked"]
        one = deployment(kept, labels={"team": "farm"}, log=["at /srv"], reason="it died", status="failed")
        looks = {
            (own, manages): endpoint(one, TYPES, 3, own=own, manages=manages)
            for own in (True, False)
            for manages in (True, False)
        }
        urls = {who: "example.com" in json.dumps(look) for who, look in looks.items()}
        assert [who for who, shown in urls.items() if shown] == [(True, True)]
        spec = looks[True, False]["spec"]
        assert (spec["labels"], spec["num_queued_items"]) == ({"team": "farm"}, 3)
        assert (spec["metadata"]["mine"], spec["metadata"]["log"]) == (1, ["at /srv"])
        spec = looks[False, True]["spec"]
        assert (spec["labels"], spec["num_queued_items"], spec["post_inference_hooks"]) == ({}, None, None)
        assert set(spec["metadata"]) == {"engine", "model", "hardware_type", "context_length", "weights_type"}
        GetLLMEndpointResponse.model_validate(looks[False, True])

    def test_hardware_that_another_dialect_changed(self) -> None:
        answer = shown({"cpus": 1, "model_name": "foal"}, "CPU_1", hardware_type="CPU_4")
        assert answer["spec"]["resource_state"]["cpus"] == 4

    @pytest.mark.parametrize(
        ("asked", "model", "source", "said"),
        [
            ({"model_name": "foal"}, "paddock/foal", "paddock/foal", "foal"),
            ({"model_name": "foal"}, "org/horse", "hf://org/horse", "org/horse"),
            ({"model_name": "mine", "checkpoint_path": "/m/tuned"}, "tuned", "/m/tuned", "mine"),
            ({"model_name": "mine", "checkpoint_path": "/m/tuned/"}, "tuned", "/m/tuned", "mine"),
            (
                {"model_name": "mine", "checkpoint_path": "/m/tuned"},
                "paddock/foal",
                "paddock/foal",
                "paddock/foal",
            ),
        ],
    )
    def test_the_base_model(self, asked: dict[str, Any], model: str, source: str, said: str) -> None:
        assert shown(asked, model=model, source=source)["model_name"] == said

    def test_why_it_failed(self) -> None:
        metadata = shown(status="failed", reason="no room", log=["a", "b"])["spec"]["metadata"]
        assert (metadata["reason"], metadata["log"]) == ("no room", ["a", "b"])


class TestCompletionFields:
    BODY = {"prompt": "hi", "max_new_tokens": 5, "temperature": 0.5}  # noqa: RUF012  # nobody changes it

    def fields(self, attached: bool = False, stream: bool = False, **more: Any) -> dict[str, Any]:
        return neutral(SYNC.validate_python({**self.BODY, **more}), attached=attached, stream=stream)

    def test_what_is_left_open_considers_every_token(self) -> None:
        least = {"prompt": "hi", "max_tokens": 5, "temperature": 0.5, "stream": False}
        assert self.fields() == {**least, "top_k": -1, "top_p": 1.0}
        assert self.fields(top_k=None, top_p=None, stop_sequences=None, guided_json=None) == self.fields()
        assert self.fields(attached=True) == least
        assert self.fields(top_k=7, top_p=0.5)["top_k"] == 7

    def test_names(self) -> None:
        fields = self.fields(stop_sequences=["a"], return_token_log_probs=True, guided_regex="x", stream=True)
        assert (fields["stop"], fields["logprobs"], fields["guided_regex"]) == (["a"], 20, "x")
        assert fields["timings_per_token"] is True
        assert self.fields(return_token_log_probs=True)["logprobs"] == 1
        assert self.fields(return_token_log_probs=True, stop_sequences=["a"], attached=True)["logprobs"] == 1

    def test_numbers_that_engines_cannot_hold(self) -> None:
        assert self.fields(max_new_tokens=10**30, top_k=10**30)["max_tokens"] == 2**31 - 1


class TestErrors:
    @pytest.mark.parametrize(
        ("param", "message", "said"),
        [
            ("context_length", "context_length is long", "max_model_len is long"),
            ("context_length", "a context of 5 is long", "max_model_len: a context of 5 is long"),
            ("model", "model 'x' is ambiguous", "model_name 'x' is ambiguous"),
            ("model", "there is no model 'x'", "model_name: there is no model 'x'"),
            ("name", "name 'x' is taken", "name 'x' is taken"),
            ("hardware_type", "hardware_type CPU_9 is small", "cpus: the hardware type CPU_9 is small"),
        ],
    )
    def test_fields_have_this_dialects_names(self, param: str, message: str, said: str) -> None:
        with pytest.raises(PaddockError) as caught, own_fields(names({"cpus": 9})):
            raise InvalidRequest(message, param=param)
        assert caught.value.message == said

    def test_what_is_no_field_here(self) -> None:
        with pytest.raises(InvalidRequest) as caught, own_fields(names({})):
            raise InvalidRequest("no hardware here is large enough", param="hardware_type")
        assert (caught.value.message, caught.value.param) == ("no hardware here is large enough", None)
