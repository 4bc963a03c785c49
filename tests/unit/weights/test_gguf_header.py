from __future__ import annotations

from pathlib import Path

import pytest

from paddock.engines.llama_cpp.convert import convert
from paddock.errors import StartupError
from paddock.weights.gguf_header import Header, read_header, shard_files
from tests.unit.engines.tiny import write_llama


class TestReadHeader:
    def test_a_converted_model(self, tmp_path: Path) -> None:
        weights = convert(write_llama(tmp_path / "tiny"), tmp_path / "cache")
        # 2 layers, 2 heads of 16 numbers, keys and values, 2 bytes each.
        cache, size = 2 * 2 * 16 * 2 * 2, weights.stat().st_size
        assert read_header(weights) == Header("llama", 512, cache, size, embeds=False, title="tiny")

    @pytest.mark.parametrize("content", [b"", b"GGU", b"nothing of the kind", b"GGUF", b"GGUF\3\0\0\0\1"])
    def test_what_is_no_gguf_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.gguf").write_bytes(content)
        with pytest.raises(StartupError, match=r"x\.gguf is not a (complete )?GGUF file"):
            read_header(tmp_path / "x.gguf")


class TestShardFiles:
    def test_a_file_by_itself(self, tmp_path: Path) -> None:
        assert shard_files(tmp_path / "x.gguf") == [tmp_path / "x.gguf"]

    def test_parts_belong_together_and_a_missing_one_is_named(self, tmp_path: Path) -> None:
        parts = [tmp_path / f"x-0000{n}-of-00002.gguf" for n in (1, 2)]
        parts[0].touch()
        with pytest.raises(StartupError, match=r"x-00002-of-00002\.gguf is missing \(1 of 2 parts\)"):
            shard_files(parts[0])
        parts[1].touch()
        assert shard_files(parts[0]) == parts
