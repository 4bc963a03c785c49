from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paddock.engines.llama_cpp.convert import convert
from paddock.errors import StartupError
from paddock.weights.facts import describe
from paddock.weights.resolve import Weights, resolve
from tests.unit.engines.tiny import write_llama


def tiny(folder: Path, **changes: Any) -> Weights:
    return Weights("org/tiny", "checkpoint", write_llama(folder / "tiny", **changes))


class TestDescribe:
    def test_a_checkpoint(self, tmp_path: Path) -> None:
        weights = tiny(tmp_path)
        facts = describe(weights)
        assert (facts.name, facts.source, facts.kind) == ("org/tiny", str(weights.path), "checkpoint")
        assert (facts.context_length, facts.cache_bytes) == (512, 2 * 2 * 16 * 2 * 2)
        assert facts.size == (weights.path / "model.safetensors").stat().st_size
        assert facts.parameters == 79_168
        assert (facts.generates, facts.embeds) == (True, False)
        assert (facts.creator, facts.screen_name, facts.description) == ("org", "tiny", "")

    def test_a_gguf_file_says_the_same_of_the_same_model(self, tmp_path: Path) -> None:
        weights = tiny(tmp_path)
        file = convert(weights.path, tmp_path / "cache")
        one, other = describe(weights), describe(Weights("org/tiny", "gguf", file))
        assert (other.context_length, other.cache_bytes) == (one.context_length, one.cache_bytes)
        assert (other.generates, other.embeds, other.screen_name) == (True, False, "tiny")
        assert other.size == file.stat().st_size

    def test_the_bundled_model(self) -> None:
        facts = describe(resolve("foal"))
        assert (facts.name, facts.parameters, facts.creator) == ("paddock/foal", 2_164_416, "paddock")
        assert facts.description.startswith("A very small chat model")

    def test_a_model_made_for_embeddings(self, tmp_path: Path) -> None:
        facts = describe(tiny(tmp_path, architectures=["BertModel"]))
        assert (facts.generates, facts.embeds) == (False, True)

    def test_the_language_part_of_a_model_that_sees(self, tmp_path: Path) -> None:
        weights = tiny(tmp_path)
        config = json.loads((weights.path / "config.json").read_text())
        outer = {"architectures": ["XForConditionalGeneration"], "text_config": config}
        (weights.path / "config.json").write_text(json.dumps(outer))
        assert describe(weights).context_length == 512

    def test_the_window_is_the_context_where_attention_slides(self, tmp_path: Path) -> None:
        assert describe(tiny(tmp_path, sliding_window=128)).context_length == 128

    def test_packed_weights_are_not_counted(self, tmp_path: Path) -> None:
        assert describe(tiny(tmp_path, quantization_config={"quant_method": "awq"})).parameters == 0

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("config.json", b"{", "not valid JSON"),
            ("config.json", b"[]", "must hold a JSON object"),
            ("config.json", b"{}", "has no usable 'max_position_embeddings'"),
            ("config.json", b'{"max_position_embeddings": "many"}', "no usable"),
            ("model.safetensors", b"", "cut short"),
            ("model.safetensors", None, "holds no model"),
            ("config.json", None, "has no config.json"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, tmp_path: Path, name: str, content: bytes | None, reason: str
    ) -> None:
        weights = tiny(tmp_path)
        (weights.path / name).unlink()
        if content is not None:
            (weights.path / name).write_bytes(content)
        with pytest.raises(StartupError, match=reason):
            describe(weights)
