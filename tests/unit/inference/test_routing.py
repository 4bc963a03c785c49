from __future__ import annotations

import pytest

from paddock.errors import StartupError
from paddock.inference.routing import Deployment, Routes


class TestRoutes:
    def test_a_name_is_given_once(self) -> None:
        first = Deployment("org/foal", "attached", "foal")
        routes = Routes([first])
        with pytest.raises(StartupError, match="two models are called 'org/foal'"):
            routes.add(Deployment("org/foal", "llama.cpp", "org/foal"))
        assert routes.resolve("foal") is first
