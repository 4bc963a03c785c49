"""What bodies of keys are refused before anything is made of them."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from paddock.errors import InvalidRequest
from paddock.gateway.validate import parse_whole
from paddock.schemas.own_keys import CreateKey, RotateKey, UpdateKey, UpdateProject


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize(
    ("body", "schema", "param"),
    [
        (b'{"name": "a", "expires_at": %b}', CreateKey, "expires_at"),
        (b'{"expires_at": %b}', UpdateKey, "expires_at"),
        (b'{"limits": {"budget": %b}}', UpdateProject, "limits.budget"),
        (b'{"keep_old_seconds": %b}', RotateKey, "keep_old_seconds"),
    ],
)
def test_numbers_are_finite(body: bytes, schema: type, param: str, number: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_whole(TypeAdapter(schema), body % number)
    assert caught.value.param == param


@pytest.mark.parametrize("number", [b"0", b"-1"])
def test_an_end_is_a_time(number: bytes) -> None:
    with pytest.raises(InvalidRequest, match="expires_at must be greater than 0"):
        parse_whole(TypeAdapter(UpdateKey), b'{"expires_at": %b}' % number)


@pytest.mark.parametrize("name", ["name", "scopes", "models"])
def test_null_changes_nothing_that_has_no_default(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name} must be a .*, not null$") as caught:
        parse_whole(TypeAdapter(UpdateKey), b'{"%b": null}' % name.encode())
    assert caught.value.param == name


def test_only_what_is_given() -> None:
    assert TypeAdapter(UpdateKey).validate_json(b"{}").model_dump(exclude_unset=True) == {}
    given = TypeAdapter(UpdateKey).validate_json(b'{"models": [], "expires_at": null}')
    assert given.model_dump(exclude_unset=True) == {"models": [], "expires_at": None}
