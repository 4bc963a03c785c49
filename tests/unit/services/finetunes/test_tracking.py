"""What callers may ask for at Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.services.finetunes.tracking import check_server, of_operator, read
from paddock.settings import Settings

KEY = "0123456789abcdef0123456789abcdef01234567"
PARAM = "wandb_config"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


class TestRead:
    def test_all_of_it(self) -> None:
        given = {"project": "herd", "entity": "us", "name": "a", "group": "g", "notes": "n", "tags": ["t"]}
        found = read({"api_key": f"{KEY}\n", "job_type": None, **given}, PARAM)
        assert (found.run, found.key) == (given, KEY)
        assert KEY not in repr(found)
        assert read({"api_key": KEY}, PARAM).run == {"project": "uncategorized"}

    @pytest.mark.parametrize(
        ("given", "param"),
        [
            (KEY, "wandb_config"),
            ([KEY], "wandb_config"),
            ({}, "wandb_config.api_key"),
            ({"api_key": ""}, "wandb_config.api_key"),
            ({"api_key": [KEY]}, "wandb_config.api_key"),
            ({"api_key": f"{KEY} {KEY}"}, "wandb_config.api_key"),
            ({"api_key": f"{KEY}\n{KEY}"}, "wandb_config.api_key"),
            ({"api_key": KEY * 20}, "wandb_config.api_key"),
            ({"api_key": KEY, "project": 7}, "wandb_config.project"),
            ({"api_key": KEY, "name": ""}, "wandb_config.name"),
            ({"api_key": KEY, "tags": KEY}, "wandb_config.tags"),
            ({"api_key": KEY, "tags": [7]}, "wandb_config.tags"),
            ({"api_key": KEY, "mode": "offline"}, "wandb_config.mode"),
            ({"apikey": KEY}, "wandb_config.apikey"),
        ],
    )
    def test_what_is_wrong_is_named_and_never_shown(self, given: Any, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read(given, PARAM)
        assert caught.value.param == param
        assert KEY not in caught.value.message

    def test_the_operators_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UnsupportedParameter, match="WANDB_API_KEY"):
            of_operator({"project": "herd"}, "integrations")
        monkeypatch.setenv("WANDB_API_KEY", f"{KEY}\n")
        assert of_operator({"project": "herd"}, "integrations").key == KEY
        assert read({}, PARAM).key == KEY
        with pytest.raises(InvalidRequest, match="1000 characters"):
            of_operator({"project": "x" * 1001}, "integrations")
        with pytest.raises(InvalidRequest, match="api_key must be given"):
            read({"base_url": "https://elsewhere.example"}, PARAM)


class TestCheckServer:
    @pytest.mark.parametrize("url", [7, "http://example.com", "https://localhost", "https://example.com"])
    def test_what_may_not_be_named(self, url: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WANDB_BASE_URL", raising=False)
        with pytest.raises(InvalidRequest) as caught:
            check_server(Settings(data_dir=tmp_path), url, "wandb_config.base_url")
        assert caught.value.param == "wandb_config.base_url"

    def test_what_may(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        open_ones = Settings(data_dir=tmp_path, allow_private_urls=True)
        check_server(open_ones, "http://127.0.0.1:8080", "base_url")
        with pytest.raises(InvalidRequest):
            check_server(open_ones, "https://u:p@example.com", "base_url")
        monkeypatch.setenv("WANDB_BASE_URL", "http://localhost:8080")
        for url in ("http://localhost:8080/", "https://api.wandb.ai"):
            check_server(Settings(data_dir=tmp_path), url, "base_url")
