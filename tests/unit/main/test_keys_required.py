"""Who is answered without a key: on loopback anybody, elsewhere nobody, unless the operator says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paddock.errors import StartupError
from paddock.main.platforms import allowed_paths
from paddock.services.exposure import keys_required
from paddock.settings import Settings


@pytest.mark.parametrize(
    ("options", "required"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "localhost"}, False),
        ({"require_keys": True}, True),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": ""}, True),
        ({"host": "10.0.0.5"}, True),
        ({"host": "example.com"}, True),
        ({"host": "0.0.0.0", "allow_anonymous": True}, False),
        ({"host": "127.0.0.1", "allow_anonymous": True}, False),
    ],
)
def test_by_address_and_wish(options: dict[str, Any], required: bool) -> None:
    assert keys_required(Settings(**options)) is required


def test_both_wishes_contradict_each_other() -> None:
    with pytest.raises(StartupError, match="contradict each other"):
        keys_required(Settings(require_keys=True, allow_anonymous=True))


@pytest.mark.parametrize(
    ("options", "any_path"),
    [
        ({}, True),
        ({"allow_anonymous": True}, True),
        ({"require_keys": True}, False),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "allow_anonymous": True}, False),
    ],
)
def test_who_may_name_any_folder_of_a_model(options: dict[str, Any], any_path: bool) -> None:
    assert allowed_paths(Settings(**options)) == (None if any_path else ())
    assert allowed_paths(Settings(**options, allow_path="/a:s3://b")) == (Path("/a"),)
