"""The catalogue: what is known, and what a caller means."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import InvalidRequest, ModelNotFound, StartupError
from paddock.services import models
from paddock.services.models import Catalogue
from paddock.weights.facts import ModelFacts
from paddock.weights.resolve import resolve
from tests.unit.engines.tiny import write_llama


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with `tiny`, `org/tiny` and `org/other`."""
    for name in ("tiny", "org/tiny", "org/other"):
        write_llama(tmp_path / "models" / name)
    return tmp_path


class TestAll:
    def test_the_bundled_one_what_is_in_the_folder_and_what_was_named(
        self, data: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        elsewhere = write_llama(tmp_path_factory.mktemp("elsewhere") / "mine")
        catalogue = Catalogue(data, [str(elsewhere), "some-org/of-the-hub:Q4_K_M"])
        found = {facts.name: facts.source for facts in catalogue.all()}
        assert found == {
            "mine": str(elsewhere),
            "org/other": "models://org/other",
            "org/tiny": "models://org/tiny",
            "paddock/foal": "paddock/foal",
            "some-org/of-the-hub:Q4_K_M": "hf://some-org/of-the-hub:Q4_K_M",
            "tiny": "models://tiny",
        }

    def test_what_comes_and_goes_is_seen(self, data: Path) -> None:
        catalogue = Catalogue(data)
        shutil.rmtree(data / "models" / "tiny")
        write_llama(data / "models" / "new")
        assert [facts.name for facts in catalogue.all()] == ["new", "org/other", "org/tiny", "paddock/foal"]

    def test_one_that_cannot_be_read_is_left_out(self, data: Path) -> None:
        (data / "models" / "tiny" / "model.safetensors").write_bytes(b"cut")
        assert "tiny" not in [facts.name for facts in Catalogue(data).all()]

    def test_a_model_that_was_named_must_be_there(self, data: Path) -> None:
        with pytest.raises(StartupError, match="no file or folder"):
            Catalogue(data, [str(data / "nothing")])


class TestFind:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("paddock/foal", "paddock/foal"),
            ("foal", "paddock/foal"),
            ("paddock--foal", "paddock/foal"),
            ("accounts/any/models/foal", "paddock/foal"),
            ("tiny", "tiny"),
            ("org/tiny", "org/tiny"),
            ("org--tiny", "org/tiny"),
            ("models://org/tiny", "org/tiny"),
            ("other", "org/other"),
        ],
    )
    def test_names(self, data: Path, text: str, name: str) -> None:
        catalogue = Catalogue(data)
        facts = catalogue.find(text, ())
        assert facts.name == name
        assert resolve(facts.source, models=data / "models").name == name
        assert catalogue.find(facts.source, ()) == facts

    def test_a_last_segment_that_two_models_have(self, data: Path) -> None:
        write_llama(data / "models" / "net" / "other")
        with pytest.raises(InvalidRequest, match="ambiguous; use one of net/other, org/other") as error:
            Catalogue(data).find("other", ())
        assert (error.value.code, error.value.param) == ("model_ambiguous", "model")

    @pytest.mark.parametrize(
        "text", ["nothing", "", "a/b/c", "x\0y", "../tiny", "models://../etc", "x" * 999]
    )
    def test_what_is_unknown_names_what_is_known(self, data: Path, text: str) -> None:
        with pytest.raises((ModelNotFound, InvalidRequest)) as error:
            Catalogue(data).find(text, None)
        assert error.value.param == "model"

    def test_the_message_lists_some_of_the_names(self, data: Path) -> None:
        with pytest.raises(ModelNotFound, match=r"known here: org/other, org/tiny, paddock/foal, tiny"):
            Catalogue(data).find("nothing", ())

    def test_a_broken_one_says_why(self, data: Path) -> None:
        (data / "models" / "tiny" / "model.safetensors").write_bytes(b"cut")
        catalogue = Catalogue(data)
        for _ in range(2):
            with pytest.raises(StartupError, match="cut short"):
                catalogue.find("tiny", ())

    def test_a_change_is_seen(self, data: Path) -> None:
        catalogue = Catalogue(data)
        assert catalogue.find("tiny", ()).context_length == 512
        write_llama(data / "models" / "tiny", max_position_embeddings=256_000)
        assert catalogue.find("tiny", ()).context_length == 256_000
        shutil.rmtree(data / "models" / "tiny")
        assert catalogue.find("tiny", ()).name == "org/tiny"

    def test_a_known_model_costs_well_under_a_millisecond(self, data: Path) -> None:
        catalogue = Catalogue(data)
        catalogue.find("org/tiny", ())
        seconds = []
        for _ in range(50):
            began = time.perf_counter()
            catalogue.find("org/tiny", ())
            seconds.append(time.perf_counter() - began)
        assert min(seconds) < 0.0005


class TestPaths:
    def test_none_may_be_named_unless_a_folder_is_allowed(self, data: Path) -> None:
        catalogue, path = Catalogue(data), data / "models" / "tiny"
        with pytest.raises(InvalidRequest, match="--allow-path") as error:
            catalogue.find(str(path), ())
        assert error.value.code == "path_not_allowed"
        assert catalogue.find(str(path), None).source == str(path)
        assert catalogue.find(str(path), [data]).source == str(path)

    def test_what_is_not_allowed_may_exist_or_not(self, data: Path) -> None:
        messages = []
        for name in ("tiny", "gone"):
            with pytest.raises(InvalidRequest) as error:
                Catalogue(data).find(str(data / "models" / name), [data / "elsewhere"])
            messages.append(error.value.message.replace(name, "x"))
        assert messages[0] == messages[1]
        assert f"none but those below {data / 'elsewhere'} may be named" in messages[0]

    def test_a_link_leads_nowhere_else(self, data: Path) -> None:
        (data / "allowed").mkdir()
        (data / "allowed" / "link").symlink_to(data / "models" / "tiny")
        for path in ("allowed/link", "allowed/../models/tiny"):
            with pytest.raises(InvalidRequest, match="--allow-path"):
                Catalogue(data).find(str(data / path), [data / "allowed"])

    def test_a_home_folder(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(data))
        assert Catalogue(data).find("~/models/tiny", [Path("~/models")]).name == "tiny"

    def test_what_was_named_at_the_start_may_be_named_by_all(
        self, data: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = write_llama(tmp_path_factory.mktemp("elsewhere") / "mine")
        assert Catalogue(data, [str(path)]).find(str(path), ()).name == "mine"

    @pytest.mark.parametrize(
        ("path", "kind", "reason"),
        [
            ("gone", ModelNotFound, "there is no model"),
            ("file.txt", InvalidRequest, "no .gguf file"),
            ("models", InvalidRequest, "holds no model"),
        ],
    )
    def test_what_is_no_model(self, data: Path, path: str, kind: type[Exception], reason: str) -> None:
        (data / "file.txt").touch()
        with pytest.raises(kind, match=reason):
            Catalogue(data).find(str(data / path), None)

    def test_a_relative_path_is_refused(self, data: Path) -> None:
        with pytest.raises(InvalidRequest, match="absolute path"):
            Catalogue(data).find("./models/tiny", None)


class TestHub:
    """The hub itself is asked in `weights.test_hub`."""

    def test_what_it_says_is_believed_for_a_while(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now, asked = [0.0], []

        def ask(id: str) -> ModelFacts:
            asked.append(id)
            return facts(name="Org/Name", source=f"hf://{id}", size=7)

        monkeypatch.setattr(models, "_ask_hub", ask)
        catalogue = Catalogue(data, clock=lambda: now[0])
        for text in ("Org/Name", "Org--Name", "hf://Org/Name"):
            assert catalogue.find(text, ()).size == 7
        assert asked == ["Org/Name"]
        now[0] += models.HUB_SECONDS + 1
        catalogue.find("Org/Name", ())
        assert len(asked) == 2

    def test_a_refusal_says_why_and_is_soon_forgotten(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, asked = [0.0], []

        def refuse(id: str) -> StartupError:
            asked.append(id)
            return StartupError("the hub has no model Org/Name")

        monkeypatch.setattr(models, "_ask_hub", refuse)
        catalogue = Catalogue(data, clock=lambda: now[0])
        for seconds in (0.0, 1.0, models.REFUSAL_SECONDS):
            now[0] += seconds
            with pytest.raises(ModelNotFound, match=r"no model 'Org/Name' \(the hub has no model Org/Name\)"):
                catalogue.find("Org/Name", ())
        assert len(asked) == 2

    def test_a_folder_of_the_same_name_where_the_server_runs_is_not_taken(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_llama(data / "Org" / "Name")
        monkeypatch.chdir(data)
        monkeypatch.setattr(models, "_ask_hub", lambda name: facts(name=name, source=f"hf://{name}"))
        assert Catalogue(data).find("Org/Name", ()).source == "hf://Org/Name"
        assert Catalogue(data, ["Org/Name"]).find("Name", ()).source == os.fspath(data / "Org" / "Name")


def facts(**changes: Any) -> ModelFacts:
    values: dict[str, Any] = {
        "kind": "checkpoint",
        "context_length": 0,
        "size": 0,
        "parameters": 0,
        "cache_bytes": 0,
        "generates": True,
        "embeds": False,
        "creator": "",
        "description": "",
        "screen_name": "",
    }
    return ModelFacts(**{**values, **changes})
