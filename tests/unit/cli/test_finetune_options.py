"""Hyperparameters as they are typed."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.cli.finetune_options import read_hyperparameters
from paddock.errors import StartupError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-4", 0.0001),
        ("true", True),
        ("auto", "auto"),
        ("q_proj,v_proj", ["q_proj", "v_proj"]),
        ('["q_proj", "v_proj"]', ["q_proj", "v_proj"]),
        ("q_proj,", ["q_proj"]),
        ("1, 2", [1, 2]),
        ('"3"', "3"),
        ("null", None),
        ("NaN", "NaN"),
        ("a=b", "a=b"),
    ],
)
def test_value(text: str, value: Any) -> None:
    assert read_hyperparameters([f"name={text}"]) == {"name": value}


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs=", " = "])
def test_what_is_none(text: str) -> None:
    with pytest.raises(StartupError, match="--set must be name=value"):
        read_hyperparameters([text])
