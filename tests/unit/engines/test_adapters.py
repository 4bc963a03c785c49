from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paddock.engines.engine import AdapterFile, Site
from paddock.engines.llama_cpp.adapters import check_adapters
from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.gguf.adapter import write_adapter
from paddock.engines.program import EngineProgram
from paddock.errors import StartupError
from tests.unit.engines.lora import write_lora
from tests.unit.engines.tiny import write_llama

PROGRAM = EngineProgram("models://org/tiny", "mine", "secret", context_length=256, slots=3)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    base = write_llama(folder / "models" / "org" / "tiny")
    write_adapter(write_lora(folder / "lora"), base, folder / "adapter.gguf")
    return folder


@pytest.fixture(scope="module")
def weights(data_dir: Path) -> Path:
    return convert(data_dir / "models" / "org" / "tiny", data_dir / "gguf")


@pytest.fixture
def adapter(data_dir: Path) -> AdapterFile:
    return AdapterFile("adapter-1", data_dir / "adapter.gguf")


class TestCheckAdapters:
    def test_they_take_what_their_files_hold(self, adapter: AdapterFile, weights: Path) -> None:
        assert check_adapters((), weights) == 0
        both = (adapter, replace(adapter, id="adapter-2"))
        assert check_adapters(both, weights) == 2 * adapter.path.stat().st_size

    def test_one_that_is_not_there(self, adapter: AdapterFile, weights: Path) -> None:
        with pytest.raises(StartupError, match="adapter 'adapter-2' is not there"):
            check_adapters((adapter, AdapterFile("adapter-2", weights / "gone")), weights)

    def test_one_that_is_something_else(self, weights: Path, data_dir: Path) -> None:
        with pytest.raises(StartupError, match="'model' is not a LoRA adapter"):
            check_adapters((AdapterFile("model", weights),), weights)
        text = data_dir / "text.gguf"
        text.write_text("a text that is no GGUF file")
        with pytest.raises(StartupError, match="'text' is not a complete GGUF file"):
            check_adapters((AdapterFile("text", text),), weights)

    @pytest.mark.parametrize("length", [0, 4, 20, 100, 500, -1])
    def test_one_that_was_cut_short(
        self, length: int, adapter: AdapterFile, weights: Path, tmp_path: Path
    ) -> None:
        short = tmp_path / "short.gguf"
        short.write_bytes(adapter.path.read_bytes()[:length])
        with pytest.raises(StartupError, match="'adapter-1' is not a complete GGUF file"):
            check_adapters((replace(adapter, path=short),), weights)

    def test_one_for_another_architecture(self, weights: Path, tmp_path: Path) -> None:
        base = write_llama(tmp_path / "base", architectures=["Qwen3ForCausalLM"])
        write_adapter(write_lora(tmp_path / "lora"), base, tmp_path / "a.gguf")
        with pytest.raises(StartupError, match="made for architecture 'qwen3'; this model's is 'llama'"):
            check_adapters((AdapterFile("other", tmp_path / "a.gguf"),), weights)

    def test_an_id_that_is_there_twice(self, adapter: AdapterFile, weights: Path) -> None:
        with pytest.raises(StartupError, match="'adapter-1' is listed twice"):
            check_adapters((adapter, adapter), weights)


class TestEngineProgram:
    def test_the_facts_tell_each_ones_position(self, adapter: AdapterFile, data_dir: Path) -> None:
        without = PROGRAM.prepare(Site(data_dir), lambda _: None)
        assert without.facts["adapters"] == {}
        both = (adapter, replace(adapter, id="adapter-2"))
        prepared = replace(PROGRAM, adapters=both).prepare(Site(data_dir), lambda _: None)
        assert prepared.facts["adapters"] == {"adapter-1": 0, "adapter-2": 1}
        assert prepared.options.adapters == (adapter.path, adapter.path)
        assert prepared.memory - without.memory == 2 * adapter.path.stat().st_size

    def test_it_does_not_start_without_one(self, data_dir: Path) -> None:
        program = replace(PROGRAM, adapters=(AdapterFile("gone", data_dir / "gone.gguf"),))
        with pytest.raises(StartupError, match="adapter 'gone' is not there"):
            program.prepare(Site(data_dir), lambda _: None)
