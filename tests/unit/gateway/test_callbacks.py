from __future__ import annotations

import dataclasses

from paddock.gateway.callbacks import wanted
from paddock.gateway.nobody import unsent
from paddock.inference.deployment import Deployment, in_background
from paddock.services.keys import ANYBODY


async def told(request_id: str, body: bytes) -> None:
    raise AssertionError("nobody answers")


class TestWanted:
    def test_only_what_its_own_project_asks(self) -> None:
        """A deployment of the command line answers other projects too, whose answers are not its owner's."""
        request = unsent("/v1/chat/completions")
        deployment = Deployment("foal", "llama.cpp", "foal", project="local", callback=told)
        assert wanted(request, deployment)
        request.key = dataclasses.replace(ANYBODY, id="key-1", project="shop")
        assert not wanted(request, deployment)

    def test_nobody_is_told_of_a_batch(self) -> None:
        request = unsent("/v1/chat/completions")
        deployment = Deployment("foal", "llama.cpp", "foal", project="local", callback=told)
        token = in_background.set(True)
        try:
            assert not wanted(request, deployment)
        finally:
            in_background.reset(token)
        assert not wanted(request, dataclasses.replace(deployment, callback=None))
