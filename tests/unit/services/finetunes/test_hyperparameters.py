from __future__ import annotations

from typing import Any

import pytest

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.services.finetunes.hyperparameters import Hyperparameters, parse


def given(**values: Any) -> dict[str, Any]:
    return parse(values).model_dump(exclude_unset=True)


class TestParse:
    @pytest.mark.parametrize("value", [None, "auto", "Auto"])
    @pytest.mark.parametrize("name", [*Hyperparameters.model_fields, "n_epochs", "lr", "lora_r"])
    def test_what_is_left_open(self, name: str, value: Any) -> None:
        assert given(**{name: value}) == {}
        assert parse(None) == parse({}) == Hyperparameters()

    @pytest.mark.parametrize(
        ("sent", "taken"),
        [
            ({"n_epochs": 3}, {"epochs": 3.0}),
            ({"lr": "1e-3"}, {"learning_rate": 0.001}),
            ({"lora_r": "8"}, {"lora_rank": 8}),
            ({"epochs": "0.5", "batch_size": "4"}, {"epochs": 0.5, "batch_size": 4}),
            ({"truncate": "true", "packing": False}, {"truncate": True, "packing": False}),
            ({"lora_targets": "all-linear"}, {"lora_targets": "all-linear"}),
            ({"lora_targets": "q_proj, v_proj"}, {"lora_targets": ["q_proj", "v_proj"]}),
            ({"lora_targets": ["q_proj"]}, {"lora_targets": ["q_proj"]}),
            ({"lr": None, "learning_rate": 0.1}, {"learning_rate": 0.1}),
            ({"learning_rate_multiplier": 2}, {"learning_rate_multiplier": 2.0}),
            ({"method": "full", "lora_rank": "auto"}, {"method": "full"}),
        ],
    )
    def test_what_is_taken(self, sent: dict[str, Any], taken: dict[str, Any]) -> None:
        assert given(**sent) == taken

    @pytest.mark.parametrize(
        ("name", "value", "right"),
        [
            ("epochs", 0, "a number above 0 and at most 1000"),
            ("epochs", True, "a number above 0"),
            ("n_epochs", "many", 'a number above 0 and at most 1000, or "auto", not "many"'),
            ("learning_rate", "nan", "a number above 0 and at most 1"),
            ("lr", -1, "a number above 0 and at most 1"),
            ("batch_size", 8.5, "a whole number from 1 to 4096"),
            ("batch_size", [8], "a whole number"),
            ("lora_rank", 1000, "a whole number from 1 to 512"),
            ("lora_dropout", 1, "a number from 0 to below 1"),
            ("lora_targets", [], '"all-linear" or a list of names'),
            ("lora_targets", [7], '"all-linear" or a list of names'),
            ("lora_targets", "", '"all-linear" or a list of names'),
            ("max_length", 1, "at least 2"),
            ("truncate", "perhaps", "true or false"),
            ("scheduler", "step", '"cosine", "linear" or "constant"'),
            ("method", "qlora", '"lora" or "full"'),
            ("device", "tpu", '"auto", "cpu" or "cuda"'),
            ("seed", 2**32, "a whole number from 0 to 4294967295"),
            ("early_stopping", True, "a whole number from 0 to 1000"),
        ],
    )
    def test_what_is_refused(self, name: str, value: Any, right: str) -> None:
        with pytest.raises(InvalidRequest) as error:
            parse({name: value})
        assert error.value.param == f"hyperparameters.{name}"
        assert error.value.message.startswith(f"hyperparameters.{name} must be ")
        assert right in error.value.message

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("epoch", "did you mean 'epochs' or 'n_epochs'?"),
            ("batchsize", "did you mean 'batch_size'?"),
            ("zzz", "there are method, epochs, learning_rate,"),
        ],
    )
    def test_an_unknown_one(self, name: str, hint: str) -> None:
        with pytest.raises(UnsupportedParameter) as error:
            parse({name: 1}, "here")
        assert error.value.param == f"here.{name}"
        assert error.value.message.startswith(f"'{name}' is not a hyperparameter; {hint}")

    @pytest.mark.parametrize(
        ("values", "param"),
        [
            ({"lr": 0.1, "learning_rate": 0.1}, "learning_rate"),
            ({"lr": 0.1, "learning_rate_multiplier": 2}, "learning_rate_multiplier"),
            ({"packing": True, "group_by_length": True}, "group_by_length"),
            ({"method": "full", "lora_dropout": 0.1}, "lora_dropout"),
        ],
    )
    def test_what_does_not_go_together(self, values: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidRequest) as error:
            parse(values)
        assert error.value.param == f"hyperparameters.{param}"

    def test_no_object(self) -> None:
        with pytest.raises(InvalidRequest, match="must be an object, not 7"):
            parse(7)  # type: ignore[arg-type]

    def test_each_says_what_it_means(self) -> None:
        for name, field in Hyperparameters.model_fields.items():
            assert field.description, name
            assert isinstance(field.json_schema_extra, dict), name
