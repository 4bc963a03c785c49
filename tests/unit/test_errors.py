"""The error tree: one code and one HTTP status for each, drawn as it is."""

from __future__ import annotations

import re

import pytest

from paddock import errors
from paddock.errors import PaddockError

TREE = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, PaddockError)]


class TestTree:
    def test_codes_are_unique_words(self) -> None:
        codes = [kind.code for kind in TREE]
        assert len(set(codes)) == len(codes)
        assert all(re.fullmatch("[a-z_]+", code) for code in codes)

    def test_the_drawing_has_every_error_with_its_status(self) -> None:
        assert errors.__doc__ is not None
        drawn = dict(re.findall(r"─ (\w+)(?: (\d{3}))?", errors.__doc__))
        kinds = {kind.__name__: kind for kind in TREE if kind is not PaddockError}
        assert drawn.keys() == kinds.keys()
        for name, status in drawn.items():
            assert not status or int(status) == kinds[name].status

    @pytest.mark.parametrize("kind", TREE)
    def test_what_each_carries(self, kind: type[PaddockError]) -> None:
        error = kind("it broke", param="n", retry_after=2.5)
        assert (str(error), error.message, error.code) == ("it broke", "it broke", kind.code)
        assert (error.param, error.retry_after) == ("n", 2.5)
        assert kind("x", code="mine").code == "mine"
