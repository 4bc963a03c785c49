"""Models, hardware types, tokens and errors of the Cortecs dialect."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from paddock.errors import Conflict, InvalidRequest, ModelNotFound, PaddockError
from paddock.gateway.cortecs import models, tokens
from paddock.gateway.cortecs.errors import error_body, own_fields
from paddock.gateway.cortecs.hardware import hardware_type
from paddock.gateway.cortecs.verbs import context_for
from paddock.gateway.keyring import Keyring
from paddock.schemas.hardware import HardwareType
from paddock.services.offers import Offer

FORM = {b"content-type": b"application/x-www-form-urlencoded; charset=utf-8"}
GRANT = {"grant_type": "client_credentials"}
FOAL = Offer(
    name="paddock/foal",
    here=True,
    own_context=2048,
    parameters=2_000_000,
    creator="paddock",
    description="A small chat model.",
    screen_name="Foal",
    recommended="CPU_1",
    contexts={"CPU_1": 1000, "CPU_2": 2048},
    memory=300,
)
UNKNOWN = Offer("org/new", False, 0, 0, "", "", "", None, {}, 0)


class TestModels:
    def test_in_a_list(self) -> None:
        assert models.preview(FOAL).model_dump() == {
            "model_id": "paddock--foal",
            "hf_name": "paddock/foal",
            "instant_provisioned": True,
            "creator": {"name": "paddock"},
            "description": "A small chat model.",
            "screen_name": "Foal",
            "size": 2_000_000,
            "recommended_config": "CPU_1",
            "hardware_configs": ["CPU_1", "CPU_2"],
        }

    def test_by_itself(self) -> None:
        found = models.model(FOAL)
        assert found.max_context_length == 2048
        assert found.hardware_configs["CPU_1"].model_dump() == {
            "hardware_type_id": "CPU_1",
            "params": {"--max-model-len": 1000, "max_context_length": 1000},
            "requirements": {"memory": 300},
        }

    def test_what_is_not_known_is_null(self) -> None:
        found = models.model(UNKNOWN)
        for field in (
            "creator",
            "description",
            "screen_name",
            "size",
            "recommended_config",
            "max_context_length",
        ):
            assert getattr(found, field) is None
        assert not found.instant_provisioned

    @pytest.mark.parametrize(
        ("model_id", "name"),
        [
            ("paddock--foal", "paddock--foal"),
            ("paddock/foal", "paddock/foal"),
            ("--srv--models--a.gguf", "/srv/models/a.gguf"),
            ("--a/b", "--a/b"),
        ],
    )
    def test_what_an_id_means(self, model_id: str, name: str) -> None:
        assert models.named(model_id) == name


class TestHardware:
    def test_with_a_gpu(self) -> None:
        kind = HardwareType("NVIDIA_L4_1", 8, 2**35, "NVIDIA L4", 1, 24 * 2**30, 1.2, "USD")
        assert hardware_type(kind).model_dump() == {
            "hardware_type_id": "NVIDIA_L4_1",
            "price_info": {
                "price_per_hour": 1.2,
                "price_per_minute": pytest.approx(0.02),
                "currency": "USD",
            },
            "hardware_info": {
                "cores": 8,
                "memory": 2**35,
                "gpu": "NVIDIA L4",
                "gpus": 1,
                "gpu_memory": 24 * 2**30,
            },
        }


class TestContext:
    @pytest.mark.parametrize(
        ("hardware", "asked", "length"),
        [("CPU_2", None, 2048), ("CPU_1", None, 1000), ("CPU_2", 512, 512), ("CPU_9", None, None)],
    )
    def test_each(self, hardware: str, asked: int | None, length: int | None) -> None:
        assert context_for(FOAL, hardware, asked) == length

    def test_the_default_is_bounded(self) -> None:
        large = Offer("org/large", True, 128_000, 0, "", "", "", "CPU_1", {"CPU_1": 128_000}, 0)
        assert context_for(large, "CPU_1", None) == 32_000
        assert context_for(large, "CPU_1", 64_000) == 64_000

    def test_too_much(self) -> None:
        with pytest.raises(
            InvalidRequest, match="at most 1000 for paddock/foal on CPU_1, not 1500"
        ) as raised:
            context_for(FOAL, "CPU_1", 1500)
        assert raised.value.param == "context_length"
        assert "there is room for that on CPU_2" in raised.value.message
        with pytest.raises(InvalidRequest) as raised:
            context_for(FOAL, "CPU_2", 5000)
        assert raised.value.message.endswith("not 5000")


def basic(text: str, scheme: str = "Basic") -> dict[bytes, bytes]:
    return {b"authorization": f"{scheme} {base64.b64encode(text.encode()).decode()}".encode()}


class TestTokens:
    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({}, orjson.dumps({**GRANT, "client_id": "a", "client_secret": "b"})),
            (FORM, b"grant_type=client_credentials&client_id=a&client_secret=b&scope=all"),
            ({**FORM, **basic("a:b")}, b"grant_type=client_credentials"),
            (basic("a:b", "basic"), orjson.dumps({**GRANT, "client_id": None})),
            (basic("a%3Ab:c:d"), orjson.dumps(GRANT)),
        ],
    )
    def test_every_way_to_ask(self, headers: dict[bytes, bytes], body: bytes) -> None:
        issued = tokens.issue(Keyring(), headers, body)
        assert len(issued.access_token) >= 32
        assert (issued.token_type, issued.expires_in) == ("Bearer", 3600)
        assert tokens.issue(Keyring(), headers, body).access_token != issued.access_token

    @pytest.mark.parametrize(
        ("headers", "body", "param", "said"),
        [
            ({}, b"", "grant_type", "is required"),
            ({}, b"{", None, "not valid JSON"),
            ({}, b"[]", None, "must be an object"),
            ({}, orjson.dumps({"grant_type": "password"}), "grant_type", '"client_credentials"'),
            (FORM, b"grant_type=password", "grant_type", 'not "password"'),
            ({}, orjson.dumps({**GRANT, "client_id": 5}), "client_id", "must be a string"),
            ({}, orjson.dumps(GRANT), "client_id", "must not be empty"),
            (FORM, b"grant_type=client_credentials&client_id=a", "client_secret", "must not be empty"),
            (basic("a:"), orjson.dumps(GRANT), "client_secret", "must not be empty"),
            ({b"authorization": b"Basic ???"}, orjson.dumps(GRANT), "authorization", "base64"),
            ({b"authorization": b"Bearer abc"}, orjson.dumps(GRANT), "client_id", "must not be empty"),
        ],
    )
    def test_bad_input(self, headers: dict[bytes, bytes], body: bytes, param: str | None, said: str) -> None:
        with pytest.raises(InvalidRequest) as raised:
            tokens.issue(Keyring(), headers, body)
        assert raised.value.param == param
        assert said in raised.value.message


class TestErrors:
    def test_the_shape(self) -> None:
        body = error_body(InvalidRequest("num_workers must be 1", param="num_workers", code="wrong"))
        assert orjson.loads(body) == {
            "error": {
                "message": "num_workers must be 1",
                "type": "invalid_request_error",
                "code": "wrong",
                "param": "num_workers",
            }
        }
        assert orjson.loads(error_body(PaddockError("a bug")))["error"]["type"] == "server_error"

    @pytest.mark.parametrize(
        ("error", "message", "param"),
        [
            (
                InvalidRequest("hardware_type 'X' is not offered", param="hardware_type"),
                "hardware_type_id 'X' is not offered",
                "hardware_type_id",
            ),
            (
                InvalidRequest("min_workers must be at most max_workers", param="min_workers"),
                "num_workers must be at most num_workers",
                "num_workers",
            ),
            (
                ModelNotFound("there is no model 'x'", param="model"),
                "model_id: there is no model 'x'",
                "model_id",
            ),
            (
                InvalidRequest("model 'x' is ambiguous; a model has a name", param="model"),
                "model_id 'x' is ambiguous; a model has a name",
                "model_id",
            ),
            (InvalidRequest("the body is not JSON"), "the body is not JSON", None),
        ],
    )
    def test_fields_have_their_own_names(self, error: Any, message: str, param: str | None) -> None:
        with pytest.raises(type(error)) as raised, own_fields():
            raise error
        assert (raised.value.message, raised.value.param) == (message, param)

    def test_others_pass(self) -> None:
        with pytest.raises(Conflict, match=r"^it runs$"), own_fields():
            raise Conflict("it runs")
