"""What is counted of what engines say that a request used."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.gateway.collect import merge_usage
from paddock.gateway.counting import count
from paddock.gateway.http import Record


def usage(prompt: Any, completion: Any, details: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (usage(9, 12, {"cached_tokens": 4}), (9, 12, 4)),
        (usage(9.0, 12.0, {"cached_tokens": 4.0}), (9, 12, 4)),
        (usage("9", None, "x"), (0, 0, 0)),
        (usage(-9, 1.5, {"cached_tokens": [4]}), (0, 0, 0)),
        (usage(True, 2**64, {"cached_tokens": None}), (0, 0, 0)),
        (usage(float("inf"), float("nan"), []), (0, 0, 0)),
        (usage(3, 1, {"cached_tokens": 4}), (3, 1, 3)),
        ({"other": 1}, (0, 0, 0)),
        ({}, (0, 0, 0)),
        (None, (0, 0, 0)),
        ("12", (0, 0, 0)),
        ([1], (0, 0, 0)),
    ],
)
def test_only_counts_count(told: Any, counted: tuple[int, int, int]) -> None:
    record = Record()
    count(record, told)
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == counted
    assert all(type(one) is int for one in (record.prompt_tokens, record.completion_tokens))
    assert merge_usage([told], 1) is None or merge_usage([told], 1)["prompt_tokens"] == counted[0]


def test_a_prompt_of_several_choices_counts_once_and_so_does_what_of_it_was_cached() -> None:
    first, second = usage(9, 1, {"cached_tokens": 4}), usage(9, 2, {"cached_tokens": 8})
    another = usage(5, 4, {"cached_tokens": 1})
    assert merge_usage([first, second, another, another], 2) == {
        "prompt_tokens": 14,
        "completion_tokens": 11,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 5},
    }
