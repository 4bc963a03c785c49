from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from paddock.engines.llama_cpp import convert as module
from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.fingerprint import NOTES, fingerprint_file
from paddock.engines.llama_cpp.gguf import writer
from paddock.errors import StartupError
from paddock.weights.gguf_header import read_header
from tests.unit.engines.tiny import write_llama


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "checkpoint")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


class TestContent:
    def test_metadata(self, checkpoint: Path, cache: Path) -> None:
        reader = GGUFReader(convert(checkpoint, cache))
        values = {name: field.contents() for name, field in reader.fields.items()}
        assert values["general.architecture"] == "llama"
        assert values["llama.context_length"] == 512
        assert values["llama.attention.head_count_kv"] == 2
        assert values["tokenizer.ggml.pre"] == "qwen2"
        assert values["tokenizer.ggml.eos_token_id"] == 266
        assert values["tokenizer.ggml.add_bos_token"] is False
        assert values["tokenizer.chat_template"].startswith("{% for message")
        types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
        assert types["blk.1.attn_q.weight"] == "BF16"
        assert types["blk.1.attn_norm.weight"] == "F32"

    @pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0"])
    def test_weights_types(self, checkpoint: Path, cache: Path, kind: str) -> None:
        tensors = GGUFReader(convert(checkpoint, cache, kind)).tensors
        assert {tensor.tensor_type.name for tensor in tensors} == {kind, "F32"}

    def test_rows_that_q8_0_cannot_hold_stay_16_bit(self, tmp_path: Path, cache: Path) -> None:
        checkpoint = write_llama(tmp_path / "odd", intermediate_size=100)
        tensors = GGUFReader(convert(checkpoint, cache, "Q8_0")).tensors
        types = {tensor.name: tensor.tensor_type.name for tensor in tensors}
        assert (types["blk.0.ffn_down.weight"], types["blk.0.ffn_up.weight"]) == ("BF16", "Q8_0")

    def test_an_unknown_weights_type(self, checkpoint: Path, cache: Path) -> None:
        with pytest.raises(StartupError, match="'Q3' is not known; known are auto, F16, BF16, Q8_0"):
            convert(checkpoint, cache, "Q3")

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"num_hidden_layers": 3}, "no tensor model.layers.2"),
            ({"num_hidden_layers": 1}, "9 tensors that a llama does not"),
            ({"vocab_size": 300}, r"shape \(272, 64\), but config.json implies \(300, 64\)"),
            ({"tie_word_embeddings": False}, "no tensor lm_head.weight"),
        ],
    )
    def test_weights_that_do_not_fit_the_config(
        self, checkpoint: Path, cache: Path, changes: dict[str, Any], reason: str
    ) -> None:
        config = json.loads((checkpoint / "config.json").read_bytes()) | changes
        (checkpoint / "config.json").write_text(json.dumps(config))
        with pytest.raises(StartupError, match=reason):
            convert(checkpoint, cache)
        assert not list(cache.glob("*.gguf"))


class TestCache:
    def test_the_second_time_nothing_is_written(self, checkpoint: Path, cache: Path) -> None:
        calls: list[tuple[int, int]] = []
        first = convert(checkpoint, cache, progress=lambda done, total: calls.append((done, total)))
        assert (
            calls[-1][0]
            == calls[-1][1]
            == (checkpoint / "model.safetensors").stat().st_size - header_size(checkpoint)
        )
        calls.clear()
        assert convert(checkpoint, cache, progress=lambda *_: calls.append((0, 0))) == first
        assert calls == []

    @pytest.mark.parametrize("name", ["tokenizer_config.json", "chat_template.jinja", "model.safetensors"])
    def test_any_changed_file_is_noticed(self, checkpoint: Path, cache: Path, name: str) -> None:
        first = convert(checkpoint, cache)
        with (checkpoint / name).open("ab") as stream:
            stream.write(b" ")
        assert convert(checkpoint, cache) != first

    def test_the_same_content_elsewhere_is_found(self, tmp_path: Path, checkpoint: Path, cache: Path) -> None:
        elsewhere = tmp_path / "elsewhere" / "checkpoint"
        write_llama(elsewhere)
        assert convert(elsewhere, cache) == convert(checkpoint, cache)

    def test_a_failure_leaves_nothing(
        self, checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(writer, "_chunks", full)
        with pytest.raises(StartupError, match="the disk is full"):
            convert(checkpoint, cache)
        assert [file.suffix for file in cache.iterdir()] == [".lock"]

    def test_too_little_space_is_said_beforehand(
        self, checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SPARE", 1 << 60)
        with pytest.raises(StartupError, match=r"needs up to \d+ MiB .* only \d+ MiB are free"):
            convert(checkpoint, cache)

    def test_two_at_once_write_once(
        self, checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[str] = []
        write = writer.write_gguf
        monkeypatch.setattr(
            writer, "write_gguf", lambda *arguments: (written.append("once"), write(*arguments))
        )
        threads = [threading.Thread(target=convert, args=(checkpoint, cache)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert written == ["once"]
        assert read_header(next(cache.glob("*.gguf"))).architecture == "llama"


class TestFingerprint:
    def test_a_large_file_is_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "large"
        file.write_bytes(bytes(2 << 20))
        os.utime(file, (1, 1))
        first = fingerprint_file(file, tmp_path)
        monkeypatch.setattr("hashlib.file_digest", None)
        assert fingerprint_file(file, tmp_path) == first

    def test_a_file_that_just_changed_is_not_noted(self, tmp_path: Path) -> None:
        file = tmp_path / "large"
        file.write_bytes(bytes(2 << 20))
        fingerprint_file(file, tmp_path)
        assert not (tmp_path / NOTES).exists()

    def test_broken_notes_are_ignored(self, tmp_path: Path) -> None:
        (tmp_path / NOTES).write_text("[")
        file = tmp_path / "large"
        file.write_bytes(bytes(2 << 20))
        os.utime(file, (1, 1))
        assert len(fingerprint_file(file, tmp_path)) == 64


def header_size(checkpoint: Path) -> int:
    with (checkpoint / "model.safetensors").open("rb") as stream:
        return 8 + int.from_bytes(stream.read(8), "little")
