from __future__ import annotations

import itertools
from typing import Any

import pytest

from paddock.schemas.hardware import Claim, Gpu, HardwareType, Node, NodeHardware, Placement
from paddock.services.hardware import (
    HardwareConfig,
    TypeConfig,
    available,
    fit,
    gpu_kind,
    hardware_types,
    never_fits,
    recommend,
)

GIB = 1024**3
MIB = 1024**2
WHOLE = HardwareConfig(memory_reserve=0)
H100 = "NVIDIA H100 80GB HBM3"


def node(name: str = "a", cores: int = 2, memory: int = 8 * GIB, gpus: tuple[str, ...] = ()) -> Node:
    """Each of its GPUs has 24 GiB."""
    found = tuple(Gpu(index, gpu, 24 * GIB) for index, gpu in enumerate(gpus))
    return Node(name, NodeHardware(cores, memory, found))


def configured(**types: TypeConfig) -> HardwareConfig:
    return HardwareConfig(memory_reserve=0, types=types)


def cpu(cores: int = 1, memory: int = 64 * GIB) -> HardwareType:
    return HardwareType(f"CPU_{cores}", cores, memory)


def l4(gpus: int = 1, cores: int = 1, memory: int = 64 * GIB) -> HardwareType:
    return HardwareType(f"NVIDIA_L4_{gpus}", cores, memory, "NVIDIA L4", gpus, 24 * GIB)


def held(node: str = "a", cores: int = 1, memory: int = 0, gpus: tuple[int, ...] = ()) -> Placement:
    return Placement(node, "X", cores, memory, gpus)


def placed(found: Placement | str) -> Placement:
    assert isinstance(found, Placement), found
    return found


class TestGpuKind:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("NVIDIA L4", "NVIDIA_L4"),
            ("NVIDIA L40S", "NVIDIA_L40S"),
            ("Tesla T4", "NVIDIA_T4"),
            ("Tesla V100-SXM2-16GB", "NVIDIA_V100_16GB"),
            ("NVIDIA A10G", "NVIDIA_A10G"),
            ("NVIDIA A100-SXM4-80GB", "NVIDIA_A100_80GB"),
            ("NVIDIA A100 80GB PCIe", "NVIDIA_A100_80GB"),
            ("NVIDIA A100-PCIE-40GB", "NVIDIA_A100_40GB"),
            ("NVIDIA H100 80GB HBM3", "NVIDIA_H100_80GB_HBM3"),
            ("NVIDIA H100 NVL", "NVIDIA_H100_NVL"),
            ("NVIDIA H200", "NVIDIA_H200"),
            ("NVIDIA GH200 480GB", "NVIDIA_GH200_480GB"),
            ("NVIDIA GeForce RTX 4090", "NVIDIA_RTX_4090"),
            ("GeForce GTX 1080 Ti", "NVIDIA_GTX_1080_TI"),
            ("NVIDIA GeForce RTX 4060 Laptop GPU", "NVIDIA_RTX_4060_LAPTOP"),
            ("NVIDIA RTX A6000", "NVIDIA_RTX_A6000"),
            ("NVIDIA RTX 6000 Ada Generation", "NVIDIA_RTX_6000_ADA"),
            ("Quadro RTX 6000", "NVIDIA_QUADRO_RTX_6000"),
            ("l4", "NVIDIA_L4"),
            ("GPU", "NVIDIA_GPU"),
        ],
    )
    def test_the_form_that_users_know(self, name: str, kind: str) -> None:
        assert gpu_kind(name) == kind
        assert gpu_kind(kind) == kind


class TestDetectedTypes:
    @pytest.mark.parametrize(
        ("cores", "sizes"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (12, [1, 2, 4, 8, 12])]
    )
    def test_powers_of_two_and_all_cores(self, cores: int, sizes: list[int]) -> None:
        types = hardware_types([node(cores=cores)], WHOLE)
        assert list(types) == [f"CPU_{size}" for size in sizes]
        assert [type.cores for type in types.values()] == sizes

    def test_memory_by_the_share_of_cores(self) -> None:
        types = hardware_types([node(cores=6, memory=24 * GIB)], WHOLE)
        assert [type.memory // GIB for type in types.values()] == [4, 8, 16, 24]

    def test_the_reserve_is_promised_to_nobody(self) -> None:
        types = hardware_types([node(memory=8 * GIB)], HardwareConfig(memory_reserve=0.25))
        assert [type.memory // GIB for type in types.values()] == [3, 6]

    @pytest.mark.parametrize(("memory", "least"), [(4 * GIB, GIB), (GIB // 2, GIB // 2)])
    def test_a_share_of_use(self, memory: int, least: int) -> None:
        types = hardware_types([node(cores=16, memory=memory)], WHOLE)
        assert types["CPU_1"].memory == least
        assert types["CPU_16"].memory == memory

    def test_everything_is_told_and_free_of_charge(self) -> None:
        types = hardware_types([node(gpus=("NVIDIA L4",))], WHOLE)
        assert types["CPU_2"] == HardwareType("CPU_2", 2, 8 * GIB, None, 0, 0, 0.0, "EUR")
        assert types["NVIDIA_L4_1"] == HardwareType(
            "NVIDIA_L4_1", 2, 8 * GIB, "NVIDIA L4", 1, 24 * GIB, 0.0, "EUR"
        )

    def test_gpus_by_kind_with_their_share_of_the_node(self) -> None:
        mixed = node(cores=16, memory=80 * GIB, gpus=(H100, H100, H100, "Tesla T4"))
        types = hardware_types([mixed], WHOLE)
        gpus = {id: (type.gpus, type.cores, type.memory // GIB) for id, type in types.items() if type.gpus}
        assert gpus == {
            "NVIDIA_T4_1": (1, 4, 20),
            "NVIDIA_H100_80GB_HBM3_1": (1, 4, 20),
            "NVIDIA_H100_80GB_HBM3_2": (2, 8, 40),
            "NVIDIA_H100_80GB_HBM3_3": (3, 12, 60),
        }
        assert list(types)[:5] == ["CPU_1", "CPU_2", "CPU_4", "CPU_8", "CPU_16"]

    def test_more_gpus_than_cores(self) -> None:
        assert hardware_types([node(cores=1, gpus=("NVIDIA L4",) * 4)], WHOLE)["NVIDIA_L4_1"].cores == 1

    def test_nodes_that_differ(self) -> None:
        small = node("small", cores=2, memory=16 * GIB, gpus=("NVIDIA L4",))
        large = node("large", cores=16, memory=64 * GIB, gpus=("NVIDIA L4",) * 2)
        types = hardware_types([small, large], WHOLE)
        # A small node's whole memory, or a large one's share: what one of them has.
        assert [types[f"CPU_{cores}"].memory // GIB for cores in (1, 2, 4, 8, 16)] == [8, 16, 16, 32, 64]
        # Every node with such a GPU is to have the cores.
        assert (types["NVIDIA_L4_1"].cores, types["NVIDIA_L4_1"].memory // GIB) == (2, 32)
        assert types["NVIDIA_L4_2"].cores == 16
        assert types == hardware_types([large, small], WHOLE)

    def test_gpus_of_one_kind_promise_what_the_smallest_has(self) -> None:
        gpus = (Gpu(0, "NVIDIA A100-SXM4-80GB", 80 * GIB), Gpu(1, "NVIDIA A100 80GB PCIe", 79 * GIB))
        types = hardware_types([Node("a", NodeHardware(2, 8 * GIB, gpus))], WHOLE)
        assert types["NVIDIA_A100_80GB_2"].gpu_memory == 79 * GIB

    def test_no_nodes(self) -> None:
        assert hardware_types([], WHOLE) == {}


class TestConfiguredTypes:
    def test_what_is_said_wins(self) -> None:
        told = TypeConfig(cores=1, memory=3 * GIB, price_per_hour=1.2)
        types = hardware_types([node()], HardwareConfig(currency="USD", types={"CPU_2": told}))
        assert types["CPU_2"] == HardwareType("CPU_2", 1, 3 * GIB, price_per_hour=1.2, currency="USD")
        assert types["CPU_2"].price_per_minute == 0.02
        assert (types["CPU_1"].price_per_hour, types["CPU_1"].currency) == (0, "USD")

    def test_a_price_alone_changes_nothing_else(self) -> None:
        before = hardware_types([node(gpus=("NVIDIA L4",))], WHOLE)["NVIDIA_L4_1"]
        config = configured(NVIDIA_L4_1=TypeConfig(price_per_hour=1.2))
        after = hardware_types([node(gpus=("NVIDIA L4",))], config)["NVIDIA_L4_1"]
        assert (after.price_per_hour, after.gpu, after.gpus) == (1.2, "NVIDIA L4", 1)
        assert (after.cores, after.memory) == (before.cores, before.memory)

    def test_a_hidden_type(self) -> None:
        assert list(hardware_types([node()], configured(CPU_1=TypeConfig(offer=False)))) == ["CPU_2"]
        assert list(hardware_types([node()], configured(CPU_1=TypeConfig(offer=True)))) == ["CPU_1", "CPU_2"]

    def test_a_type_of_their_own(self) -> None:
        config = configured(WEE=TypeConfig(cores=1, memory=GIB), DUO=TypeConfig(gpu="l4", gpus=2, cores=3))
        types = hardware_types([node(cores=8, memory=64 * GIB, gpus=("NVIDIA L4",) * 4)], config)
        assert types["WEE"] == HardwareType("WEE", 1, GIB)
        assert types["DUO"] == HardwareType("DUO", 3, 32 * GIB, "NVIDIA L4", 2, 24 * GIB)
        assert list(types)[:2] == ["WEE", "CPU_1"]

    def test_what_is_not_said_is_its_share(self) -> None:
        config = configured(THREE=TypeConfig(cores=3), ONE=TypeConfig(gpu="NVIDIA L4"))
        types = hardware_types([node(cores=8, memory=64 * GIB, gpus=("NVIDIA L4",) * 4)], config)
        assert (types["THREE"].cores, types["THREE"].memory) == (3, 24 * GIB)
        assert (types["ONE"].gpus, types["ONE"].cores, types["ONE"].memory) == (1, 2, 16 * GIB)

    @pytest.mark.parametrize(
        "told",
        [
            TypeConfig(price_per_hour=1),
            TypeConfig(cores=64),
            TypeConfig(gpu="NVIDIA H200"),
            TypeConfig(gpu="NVIDIA H200", cores=1),
        ],
    )
    def test_a_type_of_a_node_that_is_not_there(self, told: TypeConfig) -> None:
        assert list(hardware_types([node()], configured(CPU_64=told))) == ["CPU_1", "CPU_2"]

    def test_one_that_is_wholly_said_is_listed_without_a_node(self) -> None:
        told = TypeConfig(cores=9, memory=GIB, gpu="H200")
        assert hardware_types([], configured(X=told)) == {"X": HardwareType("X", 9, GIB, "H200", 1, 0)}


class TestFit:
    def test_what_a_replica_holds(self) -> None:
        found = fit(Claim(cpu(2), 3 * GIB), [node()], [], WHOLE)
        assert found == Placement("a", "CPU_2", 2, 3 * GIB, ())

    def test_five_small_deployments_on_two_cores(self) -> None:
        node_, claim, placements = node(memory=4 * GIB), Claim(cpu(2), 300 * MIB), list[Placement]()
        for _ in range(5):
            placements.append(placed(fit(claim, [node_], placements, HardwareConfig())))
        assert len(placements) == 5

    def test_cores_are_promised_up_to_the_factor(self) -> None:
        config, claim = HardwareConfig(core_sharing=3), Claim(cpu(2), 0)
        assert isinstance(fit(claim, [node()], [held(cores=4)], config), Placement)
        assert fit(claim, [node()], [held(cores=5)], config) == "needs 2 cores; 1 core is free on node a"
        assert fit(claim, [node()], [held(cores=9)], config) == "needs 2 cores; 0 cores are free on node a"

    def test_a_node_gives_no_core_twice_to_one_replica(self) -> None:
        assert fit(Claim(cpu(4), 0), [node()], [], WHOLE) == "needs 4 cores; 2 cores are free on node a"

    def test_memory_is_promised_once(self) -> None:
        claim = Claim(cpu(), 3 * GIB + 1)
        assert placed(fit(claim, [node()], [held(memory=5 * GIB - 1)], WHOLE)).memory == 3 * GIB + 1
        # Rounded apart: what is needed up, what is there down.
        assert fit(claim, [node()], [held(memory=5 * GIB)], WHOLE) == (
            "needs 3.1 GiB of memory; 3 GiB are free on node a"
        )

    @pytest.mark.parametrize(
        ("needed", "taken", "sentence"),
        [
            (3 * GIB, 7 * GIB, "needs 3 GiB of memory; 1 GiB is free on node a"),
            (int(3.1 * GIB), int(6.75 * GIB), "needs 3.1 GiB of memory; 1.2 GiB are free on node a"),
            (2 * GIB, 8 * GIB - 10 * MIB, "needs 2 GiB of memory; 10 MiB are free on node a"),
            (2 * GIB, 8 * GIB, "needs 2 GiB of memory; 0 bytes are free on node a"),
            (2 * GIB, 9 * GIB, "needs 2 GiB of memory; 0 bytes are free on node a"),
        ],
    )
    def test_how_much_is_short(self, needed: int, taken: int, sentence: str) -> None:
        assert fit(Claim(cpu(), needed), [node()], [held(memory=taken)], WHOLE) == sentence

    def test_the_reserve_is_promised_to_nobody(self) -> None:
        config = HardwareConfig(memory_reserve=0.5)
        assert isinstance(fit(Claim(cpu(), 4 * GIB), [node()], [], config), Placement)
        assert isinstance(fit(Claim(cpu(), 4 * GIB + 1), [node()], [], config), str)

    def test_gpus_belong_to_one_replica(self) -> None:
        four = node(gpus=("NVIDIA L4", "Tesla T4", "NVIDIA L4", "NVIDIA L4"))
        assert placed(fit(Claim(l4(2), 0), [four], [], WHOLE)).gpus == (0, 2)
        assert placed(fit(Claim(l4(2), 0), [four], [held(gpus=(0,))], WHOLE)).gpus == (2, 3)
        assert fit(Claim(l4(2), 0), [four], [held(gpus=(0, 1)), held(gpus=(2,))], WHOLE) == (
            "needs 2 GPUs of kind NVIDIA_L4; 1 such GPU is free on node a"
        )

    def test_gpus_of_other_nodes_are_not_counted(self) -> None:
        one = node(gpus=("NVIDIA L4",))
        assert placed(fit(Claim(l4(), 0), [one], [held("b", gpus=(0,))], WHOLE)).gpus == (0,)

    def test_indices_of_the_node_are_kept(self) -> None:
        hardware = NodeHardware(2, 8 * GIB, (Gpu(7, "NVIDIA L4", 24 * GIB), Gpu(3, "NVIDIA L4", 24 * GIB)))
        assert placed(fit(Claim(l4(), 0), [Node("a", hardware)], [], WHOLE)).gpus == (3,)

    def test_everything_that_is_short_is_said(self) -> None:
        assert fit(Claim(l4(1, cores=2), 2 * GIB), [node()], [held(cores=15, memory=7 * GIB)], WHOLE) == (
            "needs 1 GPU of kind NVIDIA_L4 and 2 GiB of memory and 2 cores; "
            "0 such GPUs and 1 GiB and 1 core are free on node a"
        )

    def test_more_than_the_type_has(self) -> None:
        assert fit(Claim(cpu(1, 2 * GIB), 3 * GIB), [node()], [], WHOLE) == (
            "needs 3 GiB of memory; CPU_1 has 2 GiB"
        )
        assert fit(Claim(l4(2), 0, 49 * GIB), [node()], [], WHOLE) == (
            "needs 49 GiB of GPU memory; NVIDIA_L4_2 has 48 GiB"
        )
        assert isinstance(
            fit(Claim(l4(2), 0, 48 * GIB), [node(gpus=("NVIDIA L4",) * 2)], [], WHOLE), Placement
        )

    def test_no_node(self) -> None:
        assert fit(Claim(cpu(), 0), [], [], WHOLE) == "has no node to run on"

    def test_what_is_held_on_a_node_that_is_gone(self) -> None:
        assert isinstance(fit(Claim(cpu(), GIB), [node()], [held("gone", 99, 99 * GIB)], WHOLE), Placement)


class TestChoiceOfNode:
    def choose(self, nodes: list[Node], placements: list[Placement], claim: Claim) -> str:
        chosen = {
            placed(fit(claim, list(order), list(reversed(placements)), WHOLE)).node
            for order in itertools.permutations(nodes)
        }
        (name,) = chosen
        return name

    def test_the_first_by_name_of_equals(self) -> None:
        assert self.choose([node("b"), node("a"), node("c")], [], Claim(cpu(), GIB)) == "a"

    def test_the_one_with_the_most_free_memory(self) -> None:
        nodes = [node("a"), node("b", memory=16 * GIB)]
        assert self.choose(nodes, [], Claim(cpu(), 4 * GIB)) == "b"
        assert self.choose(nodes, [held("b", memory=12 * GIB)], Claim(cpu(), 3 * GIB)) == "a"

    def test_the_one_with_the_most_free_cores(self) -> None:
        nodes = [node("a"), node("b")]
        assert self.choose(nodes, [held("a", cores=8), held("b", cores=7)], Claim(cpu(), 0)) == "b"

    def test_what_is_scarcest_decides(self) -> None:
        nodes = [node("a"), node("b")]
        taken = [held("a", cores=1, memory=7 * GIB), held("b", cores=10, memory=4 * GIB)]
        assert self.choose(nodes, taken, Claim(cpu(), GIB // 2)) == "b"

    def test_the_one_with_the_most_free_gpus(self) -> None:
        nodes = [node("a", gpus=("NVIDIA L4",) * 4), node("b", gpus=("NVIDIA L4",) * 4)]
        assert self.choose(nodes, [held("a", 0, gpus=(1,))], Claim(l4(), 0)) == "b"

    def test_only_where_it_fits(self) -> None:
        nodes = [node("a", memory=GIB), node("b"), node("c", gpus=("NVIDIA L4",))]
        assert self.choose(nodes, [held("b", cores=14)], Claim(cpu(2), 2 * GIB)) == "c"
        assert self.choose(nodes, [held("c", cores=14, memory=6 * GIB)], Claim(l4(), 2 * GIB)) == "c"

    def test_replicas_spread(self) -> None:
        nodes, placements = [node("a"), node("b"), node("c")], list[Placement]()
        for _ in range(6):
            placements.append(placed(fit(Claim(cpu(), GIB), nodes, placements, WHOLE)))
        assert sorted(placement.node for placement in placements) == ["a", "a", "b", "b", "c", "c"]

    def test_the_nearest_is_named_when_none_will_do(self) -> None:
        nodes = [node("a", memory=GIB), node("b", memory=2 * GIB), node("c", cores=1, memory=2 * GIB)]
        assert fit(Claim(cpu(2), 3 * GIB), nodes, [], WHOLE) == (
            "needs 3 GiB of memory; 2 GiB are free on node b, the nearest of 3 nodes"
        )


class TestNeverFits:
    def test_what_only_waits_is_no_reason(self) -> None:
        claim = Claim(cpu(2), 8 * GIB)
        assert isinstance(fit(claim, [node()], [held(memory=GIB)], WHOLE), str)
        assert never_fits(claim, [node()], WHOLE) is None

    @pytest.mark.parametrize(
        ("claim", "sentence"),
        [
            (Claim(cpu(), 9 * GIB), "needs 9 GiB of memory; 8 GiB are all there is on node a"),
            (Claim(cpu(4), 0), "needs 4 cores; 2 cores are all there is on node a"),
            (Claim(l4(2), 0), "needs 2 GPUs of kind NVIDIA_L4; 1 such GPU is all there is on node a"),
            (Claim(cpu(1, GIB), 2 * GIB), "needs 2 GiB of memory; CPU_1 has 1 GiB"),
        ],
    )
    def test_what_is_too_large_for_an_empty_node(self, claim: Claim, sentence: str) -> None:
        assert never_fits(claim, [node(gpus=("NVIDIA L4",))], WHOLE) == sentence

    def test_one_node_that_would_do(self) -> None:
        assert never_fits(Claim(cpu(4), 9 * GIB), [node(), node("b", 4, 9 * GIB)], WHOLE) is None

    def test_no_node(self) -> None:
        assert never_fits(Claim(cpu(), 0), [], WHOLE) == "has no node to run on"

    @pytest.mark.parametrize("reserve", [0.0, 0.1, 0.35])
    @pytest.mark.parametrize("memory", [GIB // 2, 3 * GIB + 7, 25276514304])
    def test_a_detected_type_can_be_used_up(self, memory: int, reserve: float) -> None:
        nodes = [node("a", 6, memory, ("NVIDIA L4",) * 3), node("b", 7, memory + 1, ("NVIDIA L4", H100))]
        config = HardwareConfig(core_sharing=1, memory_reserve=reserve)
        for type in hardware_types(nodes, config).values():
            assert never_fits(Claim(type, type.memory, type.gpus * type.gpu_memory), nodes, config) is None


class TestAvailable:
    def ids(self, placements: list[Placement], nodes: list[Node] | None = None, **changes: Any) -> list[str]:
        nodes = [node(gpus=("NVIDIA L4",) * 2)] if nodes is None else nodes
        config = HardwareConfig(**{"memory_reserve": 0, **changes})
        types = hardware_types(nodes, config)
        return [type.id for type in available(types.values(), nodes, placements, config)]

    def test_everything_of_an_idle_node(self) -> None:
        assert self.ids([]) == ["CPU_1", "CPU_2", "NVIDIA_L4_1", "NVIDIA_L4_2"]

    def test_a_small_model_leaves_everything_available(self) -> None:
        assert self.ids([held(cores=2, memory=300 * MIB)]) == ["CPU_1", "CPU_2", "NVIDIA_L4_1", "NVIDIA_L4_2"]

    def test_gpus_that_are_held(self) -> None:
        assert self.ids([held(gpus=(1,))]) == ["CPU_1", "CPU_2", "NVIDIA_L4_1"]
        assert self.ids([held(gpus=(0, 1))]) == ["CPU_1", "CPU_2"]

    def test_cores_that_are_promised(self) -> None:
        assert self.ids([held(cores=15)], [node()]) == ["CPU_1"]
        assert self.ids([held(cores=16)], [node()]) == []
        assert self.ids([held(cores=2)], [node()], core_sharing=1) == []

    def test_memory_for_a_small_model(self) -> None:
        assert self.ids([held(memory=7 * GIB)], [node()]) == ["CPU_1", "CPU_2"]
        assert self.ids([held(memory=7 * GIB + 1)], [node()]) == []

    def test_a_tiny_node(self) -> None:
        assert self.ids([], [node(memory=GIB // 4)]) == ["CPU_1", "CPU_2"]

    def test_no_nodes(self) -> None:
        assert self.ids([], []) == []


class TestRecommend:
    TYPES = hardware_types([node(cores=8, memory=64 * GIB, gpus=("NVIDIA L4",) * 2)], WHOLE)

    @pytest.mark.parametrize(
        ("memory", "threads", "id"),
        [
            (MIB, 1, "CPU_1"),
            (9 * GIB, 1, "CPU_2"),
            (MIB, 3, "CPU_4"),
            (MIB, 64, "CPU_8"),
            (64 * GIB, 1, "CPU_8"),
            (64 * GIB + 1, 1, None),
        ],
    )
    def test_the_smallest_that_runs_it_well(self, memory: int, threads: int, id: str | None) -> None:
        assert recommend(self.TYPES.values(), memory=memory, threads=threads) == id

    @pytest.mark.parametrize(
        ("memory", "id"),
        [(MIB, "NVIDIA_L4_1"), (25 * GIB, "NVIDIA_L4_2"), (49 * GIB, "CPU_8"), (65 * GIB, None)],
    )
    def test_gpus_first_for_engines_that_can_use_them(self, memory: int, id: str | None) -> None:
        assert recommend(self.TYPES.values(), memory=memory, threads=8, use_gpus=True) == id

    def test_the_least_gpu_memory_altogether(self) -> None:
        large = HardwareType("NVIDIA_H200_1", 1, GIB, "NVIDIA H200", 1, 141 * GIB)
        offered = [l4(8), large, l4(4), l4(1)]
        assert recommend(offered, memory=90 * GIB, threads=1, use_gpus=True) == "NVIDIA_L4_4"
        assert recommend(offered, memory=97 * GIB, threads=1, use_gpus=True) == "NVIDIA_H200_1"

    def test_beside_a_gpu_when_nothing_else_is_offered(self) -> None:
        offered = [type for type in self.TYPES.values() if type.gpus]
        assert recommend(offered, memory=40 * GIB, threads=1) == "NVIDIA_L4_2"

    def test_nothing_is_offered(self) -> None:
        assert recommend([], memory=1, threads=1) is None
