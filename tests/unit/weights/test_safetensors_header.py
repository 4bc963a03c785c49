from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paddock.errors import StartupError
from paddock.weights.numbers import open_tensor
from paddock.weights.safetensors_header import INDEX, read_index
from tests.unit.engines.tiny import write_safetensors

A = ("F32", np.arange(6, dtype=np.float32).reshape(2, 3))
B = ("BF16", np.arange(4, dtype=np.uint16))


class TestReadIndex:
    def test_one_file(self, tmp_path: Path) -> None:
        write_safetensors(tmp_path / "model.safetensors", {"a": A, "b": B})
        tensors = read_index(tmp_path)
        assert open_tensor(tensors["a"]).tolist() == A[1].tolist()
        assert (tensors["b"].dtype, tensors["b"].size) == ("BF16", 8)
        assert open_tensor(tensors["b"]).tolist() == [0, 1, 2, 3]

    def test_shards_behind_an_index(self, tmp_path: Path) -> None:
        write_shards(tmp_path)
        assert set(read_index(tmp_path)) == {"a", "b"}

    def test_a_missing_shard_is_named(self, tmp_path: Path) -> None:
        write_shards(tmp_path)
        (tmp_path / "two.safetensors").unlink()
        with pytest.raises(StartupError, match=r"incomplete: two\.safetensors is missing \(1 of 2 shards\)"):
            read_index(tmp_path)

    def test_pickles_are_refused_with_a_way_out(self, tmp_path: Path) -> None:
        (tmp_path / "pytorch_model.bin").touch()
        with pytest.raises(StartupError, match=r"PyTorch pickles.*save_pretrained"):
            read_index(tmp_path)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(StartupError, match="holds no model"):
            read_index(tmp_path)

    @pytest.mark.parametrize("keep", [0, 4, 20, -1])
    def test_a_file_that_was_cut_short(self, tmp_path: Path, keep: int) -> None:
        path = tmp_path / "model.safetensors"
        write_safetensors(path, {"a": A})
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(StartupError, match="cut short"):
            read_index(tmp_path)

    def test_a_git_lfs_pointer_is_recognized(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        )
        with pytest.raises(StartupError, match="git lfs pull"):
            read_index(tmp_path)

    @pytest.mark.parametrize("entry", [{}, {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, []])
    def test_a_header_that_contradicts_itself(self, tmp_path: Path, entry: object) -> None:
        raw = json.dumps({"a": entry}).encode()
        (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(4))
        with pytest.raises(StartupError, match="broken safetensors header"):
            read_index(tmp_path)


def write_shards(folder: Path) -> None:
    write_safetensors(folder / "one.safetensors", {"a": A})
    write_safetensors(folder / "two.safetensors", {"b": B})
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (folder / INDEX).write_text(json.dumps(index))
