"""Which models a key may ask, and what it is told of the others."""

from __future__ import annotations

import pytest

from paddock.errors import Forbidden, ModelNotFound
from paddock.gateway.visible import visible
from paddock.inference.routing import Deployment, Directory
from paddock.services.keys import Key

FOAL = Deployment("paddock/foal", "llama.cpp", "foal", id="dep-0", model="paddock/foal")
PONY = Deployment("pony", "llama.cpp", "pony", id="dep-1", model="org/pony")
MULE = Deployment("mule", "llama.cpp", "mule", id="dep-2", model="org/mule")


@pytest.fixture
def directory() -> Directory:
    made = Directory([FOAL])
    made.of("shop").add(PONY)
    made.of("farm").add(MULE)
    return made


def key(*models: str, project: str = "shop") -> Key:
    return Key("key-1", project, "Ann", models=models)


class TestAll:
    @pytest.mark.parametrize(
        ("models", "seen"),
        [
            ((), ["pony", "paddock/foal"]),
            (("*",), ["pony", "paddock/foal"]),
            (("paddock/*",), ["paddock/foal"]),
            (("org/pony",), ["pony"]),
            (("dep-1",), ["pony"]),
            (("mule",), []),
        ],
    )
    def test_of_its_project_and_for_all(
        self, directory: Directory, models: tuple[str, ...], seen: list[str]
    ) -> None:
        assert [one.name for one in visible(directory, key(*models)).all()] == seen


class TestOne:
    @pytest.mark.parametrize("name", ["paddock/foal", "foal", "dep-0", "accounts/any/models/foal"])
    def test_a_public_one_by_every_name(self, directory: Directory, name: str) -> None:
        assert visible(directory, key("paddock/*")).resolve(name) is FOAL

    @pytest.mark.parametrize("name", ["pony", "dep-1", "org/pony"])
    def test_one_of_its_project_that_it_is_not_for(self, directory: Directory, name: str) -> None:
        with pytest.raises(Forbidden, match="key 'Ann' is not for model 'pony'; it is for paddock/\\*") as no:
            visible(directory, key("paddock/*")).resolve(name)
        assert (no.value.code, no.value.param) == ("model_not_allowed", "model")

    @pytest.mark.parametrize("models", [(), ("paddock/*",), ("mule",)])
    def test_one_of_another_project_is_not_there(self, directory: Directory, models: tuple[str, ...]) -> None:
        routes = visible(directory, key(*models))
        for name in ("mule", "dep-2", "org/mule"):
            with pytest.raises(ModelNotFound) as no:
                routes.resolve(name)
            assert "served models: mule" not in no.value.message
        assert routes.by_id("dep-2") is None

    def test_by_id(self, directory: Directory) -> None:
        routes = visible(directory, key("paddock/*"))
        assert routes.by_id("dep-0") is FOAL
        assert routes.by_id("dep-1") is None
