"""What may be started of a model: where it fits, with how much context, and what is chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from paddock.errors import InvalidRequest, ModelNotFound
from paddock.schemas.hardware import Gpu, Node, NodeHardware
from paddock.schemas.own import CreateDeployment
from paddock.services.hardware import HardwareConfig, TypeConfig
from paddock.services.models import Catalogue
from paddock.services.offers import Offer, offer, offers
from paddock.services.platform import Platform
from paddock.services.wishes import plan_wish
from paddock.settings import Settings
from paddock.store.blobs import Blobs
from paddock.store.ledger import Ledger
from paddock.store.sessions import Store

GIB = 2**30
NODE = Node("here", NodeHardware(cores=4, memory=16 * GIB))
EXACT = HardwareConfig(memory_reserve=0)
"""With it the node above offers CPU_1 with 4 GiB, CPU_2 with 8 and CPU_4 with 16."""


def checkpoint(folder: Path, *, length: int, size: int = 1024, layers: int = 32) -> None:
    """A checkpoint that takes no room, and 128 KiB of cache for a token with 32 layers."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "max_position_embeddings": length,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "head_dim": 128,
    }
    (folder / "config.json").write_text(json.dumps(config))
    header = json.dumps({"w": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)


def platform(folder: Path, config: HardwareConfig = EXACT, **settings: Any) -> Platform:
    # Nothing here asks the store or the blobs.
    chosen = Settings(data_dir=folder, **settings)
    return Platform(
        cast(Store, None), chosen, Catalogue(folder), config, cast(Blobs, None), (), ledger=cast(Ledger, None)
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Of `org`: a small model with much context, one that fills 3.5 of CPU_1's 4 GiB, and one for CPU_4."""
    checkpoint(tmp_path / "models" / "org" / "long", length=131072)
    checkpoint(tmp_path / "models" / "org" / "tight", length=2048, size=int(3.5 * GIB), layers=8)
    checkpoint(tmp_path / "models" / "org" / "large", length=4096, size=9 * GIB)
    return tmp_path


class TestOffer:
    def test_the_bundled_model(self, tmp_path: Path) -> None:
        found = offer(platform(tmp_path), [NODE], "paddock--foal", 32_000)
        assert (found.name, found.here, found.own_context) == ("paddock/foal", True, 2048)
        assert found.parameters > 2_000_000
        assert found.recommended == "CPU_1"
        assert found.contexts == {"CPU_1": 2048, "CPU_2": 2048, "CPU_4": 2048}

    def test_memory_bounds_the_context(self, models: Path) -> None:
        found = offer(platform(models), [NODE], "org/long", 32_000)
        token, overhead = 128 * 1024, 192 * 2**20 + 2048
        assert {id: found.contexts[id] // 100 for id in found.contexts} == {
            "CPU_1": (4 * GIB - overhead) // token // 100,
            "CPU_2": (8 * GIB - overhead) // token // 100,
            "CPU_4": (16 * GIB - overhead) // token // 100,
        }
        assert found.recommended == "CPU_2", "CPU_1 has no room for 32,000 tokens"

    def test_where_it_does_not_fit_is_not_offered(self, models: Path) -> None:
        found = offer(platform(models), [NODE], "org/large", 32_000)
        assert found.contexts == {"CPU_4": 4096}
        assert found.recommended == "CPU_4"

    def test_too_large_for_everything(self, models: Path) -> None:
        small = Node("here", NodeHardware(cores=1, memory=2 * GIB))
        found = offer(platform(models), [small], "org/large", 32_000)
        assert (found.contexts, found.recommended) == ({}, None)

    def test_room_for_the_usual_context_nowhere(self, models: Path) -> None:
        small = Node("here", NodeHardware(cores=2, memory=4 * GIB))
        found = offer(platform(models), [small], "org/long", 32_000)
        assert found.recommended == "CPU_2"
        assert 0 < found.contexts["CPU_1"] < found.contexts["CPU_2"] < 32_000
        assert found.memory <= 4 * GIB

    def test_gpus_only_for_an_engine_that_uses_them(self, tmp_path: Path) -> None:
        node = Node("here", NodeHardware(4, 16 * GIB, (Gpu(0, "NVIDIA L4", 24 * GIB),)))
        found = offer(platform(tmp_path), [node], "foal", 32_000)
        assert "NVIDIA_L4_1" not in found.contexts
        found = offer(platform(tmp_path, llama_server=Path("llama-server")), [node], "foal", 32_000)
        assert found.contexts["NVIDIA_L4_1"] == 2048

    def test_a_type_that_no_node_could_hold(self, tmp_path: Path) -> None:
        config = HardwareConfig(types={"HUGE": TypeConfig(cores=99, memory=GIB)})
        assert "HUGE" not in offer(platform(tmp_path, config), [NODE], "foal", 32_000).contexts

    def test_a_model_that_cannot_be_read(self, models: Path) -> None:
        broken = models / "models" / "org" / "broken.gguf"
        broken.write_bytes(b"nonsense")
        found = offer(platform(models), [NODE], "org/broken", 32_000)
        assert (found.own_context, found.parameters) == (0, 0)
        assert found.contexts["CPU_1"] == 32_000

    def test_an_unknown_model(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFound):
            offer(platform(tmp_path), [NODE], "nonsense", 32_000)


class TestOffers:
    def test_sorted_by_name(self, models: Path) -> None:
        found = offers(platform(models), [NODE], 32_000)
        assert [one.name for one in found] == ["org/large", "org/long", "org/tight", "paddock/foal"]

    def test_hub_models_that_nobody_fetched(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("paddock.services.models._from_cache", lambda _: None)
        catalogue = Catalogue(tmp_path, ["hf://org/remote"])
        chosen = Settings(data_dir=tmp_path)
        remote = Platform(
            cast(Store, None), chosen, catalogue, EXACT, cast(Blobs, None), ledger=cast(Ledger, None)
        )
        found = next(one for one in offers(remote, [NODE], 32_000) if one.name == "org/remote")
        assert not found.here
        assert found.contexts == dict.fromkeys(("CPU_1", "CPU_2", "CPU_4"), 32_000)


class TestWishes:
    """What is offered is what a wish gets."""

    @pytest.mark.parametrize("model", ["paddock/foal", "org/long", "org/tight", "org/large"])
    def test_every_context_that_is_offered_can_be_had(self, models: Path, model: str) -> None:
        here = platform(models)
        found = offer(here, [NODE], model, 32_000)
        for kind, most in found.contexts.items():
            for length in {1, 100, most // 2 + 1, most}:
                wish = plan_wish(here, [NODE], self.asked(model, kind, length))
                assert wish.memory <= GIB * {"CPU_1": 4, "CPU_2": 8, "CPU_4": 16}[kind]
            with pytest.raises(InvalidRequest):
                plan_wish(here, [NODE], self.asked(model, kind, most + 1))

    @pytest.mark.parametrize("model", ["paddock/foal", "org/long", "org/large"])
    def test_the_recommended_type_is_the_one_that_is_taken(self, models: Path, model: str) -> None:
        here = platform(models)
        found = offer(here, [NODE], model, 32_000)
        length = self.usual(found)
        wish = plan_wish(here, [NODE], self.asked(model, None, length))
        assert wish.hardware_type == found.recommended

    def test_fewer_slots_where_the_weights_leave_little(self, models: Path) -> None:
        here = platform(models)
        wish = plan_wish(here, [NODE], self.asked("org/tight", "CPU_1", 2048))
        assert wish.options["slots"] < 16
        assert plan_wish(here, [NODE], self.asked("org/tight", "CPU_2", 2048)).options["slots"] == 16

    def usual(self, found: Offer) -> int:
        return min(32_000, found.own_context)

    def asked(self, model: str, kind: str | None, length: int) -> CreateDeployment:
        return CreateDeployment(model=model, hardware_type=kind, context_length=length)
