from __future__ import annotations

import dataclasses

import pytest

from paddock.errors import Forbidden
from paddock.gateway.guard import may_change, require_change
from paddock.services.keys import ADMIN, ANYBODY, INFERENCE, MANAGE, Key
from tests.unit.gateway.test_llm_engine_translate import deployment

MANAGER = Key("key-1", "local", "Ann", frozenset((INFERENCE, MANAGE)))
OWNER = dataclasses.replace(MANAGER, scopes=frozenset((ADMIN,)))
PASSER_BY = dataclasses.replace(ANYBODY, scopes=MANAGER.scopes)
FOR_ALL, ONES_OWN = deployment(public=True), deployment()


class TestGuard:
    def test_who_may(self) -> None:
        assert [may_change(key, FOR_ALL) for key in (MANAGER, OWNER, ANYBODY, PASSER_BY)] == [
            False,
            True,
            True,
            False,
        ]
        assert all(may_change(key, ONES_OWN) for key in (MANAGER, OWNER, ANYBODY))

    def test_the_words(self) -> None:
        with pytest.raises(Forbidden, match=r"named on the command line.*'Ann' needs the scope 'admin'"):
            require_change(MANAGER, FOR_ALL)
        require_change(OWNER, FOR_ALL)
