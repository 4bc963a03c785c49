from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import paddock.clients.fireworks as fireworks
from paddock.clients.transport import Retry
from tests.unit.clients.both import Async, Sync
from tests.unit.clients.server import Respond, Server


@pytest.fixture(params=[Sync(), Async()], ids=["sync", "async"])
def side(request: pytest.FixtureRequest) -> Sync | Async:
    return request.param


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Starts a server and points the client to it."""
    with ExitStack() as stack:

        def start(*responses: Respond) -> Server:
            server = stack.enter_context(Server(*responses))
            monkeypatch.setattr(fireworks, "base_url", server.url + "/inference/v1")
            return server

        yield start


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are as many, and a thousandth as long."""
    quick = functools.partial(Retry, first=0.0005, longest=0.008)
    monkeypatch.setattr("paddock.clients.transport._sync.transport.Retry", quick)
    monkeypatch.setattr("paddock.clients.transport._async.transport.Retry", quick)
