"""Whoever replaces `fireworks.client` by `paddock.clients.fireworks` finds the same names there."""

from __future__ import annotations

import inspect
import warnings
from types import ModuleType
from typing import Any

import pytest

import paddock.clients.fireworks as ours
from paddock.clients.transport import ApiError

with warnings.catch_warnings():
    # Its own dependencies warn when they are imported.
    warnings.simplefilter("ignore")
    published = pytest.importorskip("fireworks.client")
    published_api = pytest.importorskip("fireworks.client.api")
    published_error = pytest.importorskip("fireworks.client.error")


def classes(module: ModuleType) -> list[type[Any]]:
    return [
        kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__
    ]


@pytest.mark.parametrize("kind", classes(published_api), ids=lambda kind: kind.__name__)
def test_every_field_of_every_type(kind: type[Any]) -> None:
    assert set(kind.model_fields) <= set(getattr(ours.api, kind.__name__).model_fields)


@pytest.mark.parametrize("kind", classes(published_error), ids=lambda kind: kind.__name__)
def test_every_error(kind: type[Any]) -> None:
    mine = getattr(ours.error, kind.__name__)
    # Ours have a base in common with the errors of our other clients.
    names = [base.__name__ for base in mine.__mro__ if base is not ApiError]
    assert [base.__name__ for base in kind.__mro__] == names


def test_module_attributes() -> None:
    for name in ("Completion", "ChatCompletion", "Model", "api_key", "base_url"):
        assert hasattr(published, name)
        assert hasattr(ours, name)
    assert ours.base_url == published.base_url


@pytest.mark.parametrize("name", ["Completion", "ChatCompletion"])
def test_parameters_of_create(name: str) -> None:
    theirs = inspect.signature(getattr(published, name).create).parameters
    mine = inspect.signature(getattr(ours, name).create).parameters
    assert list(theirs) == list(mine)
    assert [each.default for each in theirs.values()] == [each.default for each in mine.values()]
    assert getattr(ours, name).endpoint == getattr(published, name).endpoint
