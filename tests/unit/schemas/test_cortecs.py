from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from paddock.schemas.cortecs import Instance, ModelPreview, StartInstanceRequest, to_hf_name, to_model_id


class TestStartInstanceRequest:
    def test_null_is_not_given(self) -> None:
        # As both published clients send it.
        body = {"model_id": "a--b", "hardware_type_id": None, "context_length": None, "num_workers": None}
        assert StartInstanceRequest.model_validate(body).model_fields_set == {"model_id"}

    def test_unknown_fields_are_kept(self) -> None:
        request = StartInstanceRequest.model_validate({"model_id": "a", "region": "eu"})
        assert request.model_extra == {"region": "eu"}

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("model_id", None, "Field required"),
            ("model_id", "", "at least 1 character"),
            ("context_length", "512", "valid integer"),
            ("context_length", 0, "greater than or equal to 1"),
            ("num_workers", True, "valid integer"),
            ("billing_interval", "per_year", "'per_minute' or 'per_hour'"),
        ],
    )
    def test_wrong_fields(self, field: str, value: Any, said: str) -> None:
        with pytest.raises(ValidationError, match=said) as raised:
            StartInstanceRequest.model_validate({"model_id": "a", field: value})
        assert raised.value.errors()[0]["loc"] == (field,)

    def test_what_is_no_object(self) -> None:
        with pytest.raises(ValidationError):
            StartInstanceRequest.model_validate([])


class TestModelPreview:
    @pytest.mark.parametrize(
        "hardware",
        [
            {"hardware_configs": ["CPU_1"]},
            {"hardware_configs": {"CPU_1": {}}},
            {"hardware_info": {"hardware_configs": ["CPU_1"]}},
        ],
    )
    def test_hardware_in_each_shape(self, hardware: dict[str, Any]) -> None:
        raw = {"model_id": "a--b", "hf_name": "a/b", **hardware}
        before = dict(raw)
        assert ModelPreview.from_raw_data(raw).hardware_configs == ["CPU_1"]
        assert raw == before

    def test_the_platforms_own_name_of_the_id(self) -> None:
        preview = ModelPreview.from_raw_data({"model_id": "7", "model_name": "a--b", "hf_name": "a/b"})
        assert preview.model_id == "a--b"


class TestInstance:
    def test_fields_that_a_server_adds_are_kept(self) -> None:
        progress = {"current_step": 1, "num_steps": 5, "description": "queued", "eta": 3}
        status = {"status": "pending", "init_progress": progress}
        instance = Instance.model_validate(
            {
                "instance_id": "i",
                "instance_args": {"model_id": "a--b"},
                "instance_status": status,
                "zone": "z",
            }
        )
        assert instance.model_extra == {"zone": "z"}
        assert instance.instance_status.init_progress == progress


def test_names_and_ids() -> None:
    assert to_model_id("paddock/foal") == "paddock--foal"
    assert to_hf_name("paddock--foal") == "paddock/foal"
