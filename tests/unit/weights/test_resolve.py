from __future__ import annotations

from pathlib import Path

import pytest

from paddock.errors import StartupError
from paddock.weights.resolve import Weights, list_models, resolve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestResolve:
    @pytest.mark.parametrize("text", ["foal", "paddock/foal"])
    def test_the_bundled_model(self, text: str) -> None:
        model = resolve(text)
        assert (model.name, model.kind) == ("paddock/foal", "checkpoint")
        assert (model.path / "config.json").is_file()

    @pytest.mark.parametrize("text", ["model.gguf", "./model.gguf", "{folder}/model.gguf"])
    def test_a_gguf_file(self, folder: Path, text: str) -> None:
        (folder / "model.gguf").touch()
        found = resolve(text.format(folder=folder))
        assert found == Weights("model", "gguf", folder / "model.gguf")

    @pytest.mark.parametrize("text", ["org/name", "./org/name", "org/name/"])
    def test_a_checkpoints_folder_wins_over_a_hub_id(self, folder: Path, text: str) -> None:
        (folder / "org" / "name").mkdir(parents=True)
        (folder / "org" / "name" / "config.json").touch()
        assert resolve(text) == Weights("name", "checkpoint", folder / "org" / "name")

    def test_a_folder_with_one_gguf_file(self, folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "x.gguf").touch()
        assert resolve("model").path.name == "x.gguf"
        (folder / "model" / "y.gguf").touch()
        with pytest.raises(StartupError, match=r"holds 2 \.gguf files; give the path of one"):
            resolve("model")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("./nothing", "no file or folder nothing"),
            ("a/b/c", "no file or folder a/b/c"),
            ("nothing", "neither a file nor a folder here"),
            ("", "holds no model"),
            ("empty", "holds no model"),
            ("file.txt", "no .gguf file"),
            ("bad name/x", "neither a file nor a folder"),
        ],
    )
    def test_what_is_wrong_is_said(self, folder: Path, text: str, reason: str) -> None:
        (folder / "empty").mkdir()
        (folder / "file.txt").touch()
        with pytest.raises(StartupError, match=reason):
            resolve(text)


class TestListModels:
    def test_checkpoints_and_gguf_files_by_name(self, folder: Path) -> None:
        for name in ("one", "org/two", "org/quants", ".hidden", "empty", "org/deep/er"):
            (folder / name).mkdir(parents=True)
        for name in (
            "one/config.json",
            "org/two/config.json",
            ".hidden/config.json",
            "org/deep/er/config.json",
        ):
            (folder / name).touch()
        for name in (
            "three.gguf", "org/four.gguf", "org/quants/q4.gguf", "org/quants/mmproj-x.gguf", "notes.txt",
            "big-00001-of-00002.gguf", "big-00002-of-00002.gguf",
        ):  # fmt: skip
            (folder / name).touch()
        found = list_models(folder)
        assert {name: weights.kind for name, weights in found.items()} == {
            "one": "checkpoint",
            "org/two": "checkpoint",
            "three": "gguf",
            "org/four": "gguf",
            "org/quants": "gguf",
            "big": "gguf",
        }
        assert found["org/quants"].path == folder / "org" / "quants" / "q4.gguf"
        assert found["big"].path.name == "big-00001-of-00002.gguf"

    def test_they_are_found_by_name_wherever_the_folder_is(self, folder: Path) -> None:
        (folder / "org").mkdir()
        (folder / "org" / "m.gguf").touch()
        assert resolve("models://org/m", models=folder).path == folder / "org" / "m.gguf"
        with pytest.raises(StartupError, match=r"no model 'org/n' in .*there are: org/m"):
            resolve("models://org/n", models=folder)

    def test_a_folder_that_is_not_there_is_empty(self, folder: Path) -> None:
        assert list_models(folder / "nothing") == {}
