"""Where settings come from, what is wrong with them, and that each is documented."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import StartupError
from paddock.settings import (
    Settings,
    attach_key,
    attach_key_variable,
    fireworks_defaults,
    load,
    read_toml,
    visible_gpus,
)

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def shown(value: Any) -> str:
    """A default as the page writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


class TestPage:
    def test_every_setting_is_documented_as_it_is(self) -> None:
        rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) \| (.*) \|$", PAGE.read_text("utf-8"), re.M)
        specs = dataclasses.fields(Settings)
        assert [(name, variable, default.strip()) for name, variable, default, _ in rows] == [
            (spec.name, f"PADDOCK_{spec.name.upper()}", shown(spec.default)) for spec in specs
        ]
        for spec, row in zip(specs, rows, strict=True):
            assert row[3].startswith(spec.metadata["doc"])
            assert all(f"`{choice}`" in row[3] for choice in spec.metadata["choices"])


class TestPrecedence:
    def test_defaults(self, tmp_path: Path) -> None:
        assert load({"data_dir": tmp_path}, {}) == Settings(data_dir=tmp_path)

    def test_the_file_beats_the_default_the_environment_the_file_and_the_command_line_all(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "paddock.toml").write_text("port = 1\nslots = 2\nthreads = 3\naccess_log = false\n")
        environ = {"PADDOCK_SLOTS": "20", "PADDOCK_THREADS": "30", "PADDOCK_DATA_DIR": str(tmp_path)}
        settings = load({"threads": 300, "host": None}, environ)
        assert (settings.port, settings.slots, settings.threads) == (1, 20, 300)
        assert (settings.host, settings.access_log) == ("127.0.0.1", False)

    def test_the_command_line_says_where_the_file_is(self, tmp_path: Path) -> None:
        (tmp_path / "paddock.toml").write_text("port = 1\n")
        assert load({"data_dir": tmp_path}, {"PADDOCK_DATA_DIR": "/nowhere"}).port == 1

    def test_an_empty_variable_is_not_set(self, tmp_path: Path) -> None:
        assert load({"data_dir": tmp_path}, {"PADDOCK_PORT": ""}).port == 8800

    def test_false_and_zero_are_given(self, tmp_path: Path) -> None:
        settings = load({"data_dir": tmp_path, "access_log": False, "port": 0}, {"PADDOCK_ACCESS_LOG": "yes"})
        assert (settings.access_log, settings.port) == (False, 0)

    def test_home_is_expanded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        settings = load({}, {"PADDOCK_LLAMA_SERVER": "~/llama-server"})
        assert settings.data_dir == tmp_path / ".paddock"
        assert settings.llama_server == tmp_path / "llama-server"

    @pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
    def test_words_for_yes(self, word: str, tmp_path: Path) -> None:
        assert load({"data_dir": tmp_path}, {"PADDOCK_EMBEDDINGS": word}).embeddings is True


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("PORT", "http", "PADDOCK_PORT must be of type int, not 'http'"),
            ("PORT", "1.5", "of type int"),
            ("PORT", "65536", "PADDOCK_PORT must be from 0 to 65535, not 65536"),
            ("PORT", "-1", "from 0 to 65535"),
            ("SLOTS", "-1", "from 0"),
            ("SLOTS", "9" * 30, "from 0"),
            ("MAX_BODY", "0", "from 1"),
            ("REQUEST_TIMEOUT", "0", "from 1"),
            ("DRAIN_TIMEOUT", "soon", "of type float"),
            ("DRAIN_TIMEOUT", "nan", "from 0"),
            ("DRAIN_TIMEOUT", "inf", "from 0"),
            ("ACCESS_LOG", "maybe", "of type bool"),
            ("ENGINE", "vllm", "one of auto, llama.cpp, not 'vllm'"),
            ("WEIGHTS_TYPE", "F8", "one of auto, F16, BF16, Q8_0"),
            ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ],
    )
    def test_of_the_environment(self, name: str, value: str, said: str, tmp_path: Path) -> None:
        with pytest.raises(StartupError) as caught:
            load({"data_dir": tmp_path}, {f"PADDOCK_{name}": value})
        assert said in caught.value.message
        assert f"PADDOCK_{name}" in caught.value.message

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("prot = 1", "unknown setting 'prot'; known are host, port"),
            ("port = [1]", "port must be of type int, not [1]"),
            ("port = true", "of type int"),
            ("port = 8800.5", "of type int"),
            ("host = 5", "host must be a string, not 5"),
            ("llama_server = 5", "llama_server must be a string"),
            ("api_key = {}", "api_key must be a string"),
            ("engine = []", "one of auto"),
            ("access_log = 2", "of type bool"),
            ("data_dir = '/x'", "data_dir is where this file is found"),
            ("port = ", "not valid TOML"),
            ("[server]\nport = 1", "unknown setting 'server'"),
        ],
    )
    def test_of_the_file(self, text: str, said: str, tmp_path: Path) -> None:
        (tmp_path / "paddock.toml").write_text(text)
        with pytest.raises(StartupError) as caught:
            load({"data_dir": tmp_path}, {})
        assert said in caught.value.message
        assert str(tmp_path / "paddock.toml") in caught.value.message

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "paddock.toml").write_bytes(b"\xff")
        with pytest.raises(StartupError, match="cannot read"):
            load({"data_dir": tmp_path}, {})
        (tmp_path / "paddock.toml").unlink()
        (tmp_path / "paddock.toml").mkdir()
        with pytest.raises(StartupError, match="cannot read"):
            load({"data_dir": tmp_path}, {})


class TestKeys:
    def test_the_variable_of_an_attached_server(self) -> None:
        assert attach_key_variable("org/my-model.v1") == "PADDOCK_ATTACH_KEY_ORG_MY_MODEL_V1"
        assert attach_key("big", {"PADDOCK_ATTACH_KEY_BIG": "secret\n"}) == "secret"
        assert attach_key("big", {"PADDOCK_ATTACH_KEY_BIG": " "}) is None
        assert attach_key("big", {}) is None

    def test_fireworks(self) -> None:
        assert fireworks_defaults({}) == (None, "https://api.fireworks.ai/inference/v1")
        environ = {"FIREWORKS_API_KEY": "k", "FIREWORKS_API_BASE": "http://here"}
        assert fireworks_defaults(environ) == ("k", "http://here")


class TestReadToml:
    def test_what_the_file_says(self, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_text("[types.CPU_1]\ncores = 1\n")
        assert read_toml(tmp_path / "x.toml") == {"types": {"CPU_1": {"cores": 1}}}

    def test_no_file_says_nothing(self, tmp_path: Path) -> None:
        assert read_toml(tmp_path / "x.toml") == {}

    def test_what_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(StartupError, match="cannot read"):
            read_toml(tmp_path)
        (tmp_path / "x.toml").write_text("a = ")
        with pytest.raises(StartupError, match=r"x\.toml is not valid TOML"):
            read_toml(tmp_path / "x.toml")


class TestVisibleGpus:
    @pytest.mark.parametrize("value", [None, "", "0,1"])
    def test_empty_means_none_of_them(self, value: str | None) -> None:
        assert visible_gpus({} if value is None else {"CUDA_VISIBLE_DEVICES": value}) == value
