from __future__ import annotations

from pathlib import Path

import torch

from paddock.training import checkpoints

RECIPE = {"seed": 1}


def _save(folder: Path, step: int) -> str:
    return checkpoints.save(folder, step, {"recipe": RECIPE, "step": step, "weights": torch.arange(step)})


class TestSave:
    def test_keeps_the_newest_two(self, tmp_path: Path) -> None:
        assert [_save(tmp_path, step) for step in (9, 10, 123)][-1] == "step-00000123"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000123"]

    def test_writes_a_step_again(self, tmp_path: Path) -> None:
        _save(tmp_path, 3)
        _save(tmp_path, 3)
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


class TestNewest:
    def test_is_the_one_with_the_highest_step(self, tmp_path: Path) -> None:
        for step in (9, 10):
            _save(tmp_path, step)
        state = checkpoints.newest(tmp_path, RECIPE)
        assert state is not None
        assert state["step"] == 10
        assert state["weights"].tolist() == list(range(10))

    def test_goes_back_past_a_damaged_one(self, tmp_path: Path) -> None:
        for step in (1, 2):
            _save(tmp_path, step)
        (file,) = (tmp_path / "step-00000002").iterdir()
        file.write_bytes(file.read_bytes()[:100])
        state = checkpoints.newest(tmp_path, RECIPE)
        assert state is not None
        assert state["step"] == 1

    def test_removes_what_a_killed_process_left(self, tmp_path: Path) -> None:
        _save(tmp_path, 1)
        (tmp_path / "step-00000002.partial").mkdir()
        assert checkpoints.newest(tmp_path, RECIPE) is not None
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]

    def test_is_none_for_another_recipe_or_without_any(self, tmp_path: Path) -> None:
        assert checkpoints.newest(tmp_path / "none", RECIPE) is None
        _save(tmp_path, 1)
        assert checkpoints.newest(tmp_path, {"seed": 2}) is None
