from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from paddock.inference import turns as module
from paddock.inference.turns import TURN_SECONDS, Turns


class Engine:
    """What is in, in the order in which it came in."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._done: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.inside: list[str] = []

    async def ask(self, *names: str) -> None:
        """Each for the adapter that its first letter names."""
        for name in names:
            self._done[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._request(name))
        await self._settled()

    async def answer(self, *names: str) -> None:
        for name in names:
            self._done[name].set()
        await self._settled()

    async def hang_up(self, *names: str) -> None:
        for name in names:
            self._tasks[name].cancel()
        await self._settled()

    async def _request(self, name: str) -> None:
        async with self._turns.of(name[0]):
            self.inside.append(name)
            try:
                await self._done[name].wait()
            finally:
                self.inside.remove(name)

    async def _settled(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass."""
    now = 1000.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    return pass_by


@pytest.fixture
def engine(later: Callable[[float], None]) -> Engine:
    return Engine(Turns(slots=2))


async def test_one_adapter_alone_never_waits(engine: Engine) -> None:
    await engine.ask("a1", "a2", "a3", "a4")
    assert engine.inside == ["a1", "a2", "a3", "a4"]
    await engine.answer("a1", "a2", "a3", "a4")
    await engine.ask("b1")
    assert engine.inside == ["b1"]


async def test_another_waits_until_those_inside_are_done(engine: Engine) -> None:
    await engine.ask("a1", "a2", "b1")
    await engine.answer("a1")
    assert engine.inside == ["a2"]
    await engine.answer("a2")
    assert engine.inside == ["b1"]


async def test_while_others_wait_a_turn_has_an_end(engine: Engine, later: Callable[[float], None]) -> None:
    await engine.ask("a1", "b1", "a2")
    assert engine.inside == ["a1", "a2"]
    later(TURN_SECONDS)
    await engine.answer("a1")
    await engine.ask("a3")
    assert engine.inside == ["a2"]
    await engine.answer("a2")
    assert engine.inside == ["b1"]
    await engine.answer("b1")
    assert engine.inside == ["a3"]


async def test_a_turn_that_was_long_already_ends_when_another_comes(
    engine: Engine, later: Callable[[float], None]
) -> None:
    await engine.ask("a1")
    later(TURN_SECONDS)
    await engine.ask("b1", "a2")
    assert engine.inside == ["a1"]


async def test_no_more_than_fit_are_let_in_while_others_wait(engine: Engine) -> None:
    await engine.ask("a1", "b1", "b2", "b3", "c1")
    await engine.answer("a1")
    assert engine.inside == ["b1", "b2"]
    await engine.answer("b1")
    assert engine.inside == ["b2", "b3"]


async def test_all_have_turns_in_the_order_in_which_they_came(
    engine: Engine, later: Callable[[float], None]
) -> None:
    await engine.ask("a1", "b1", "b2", "b3", "c1", "a2")
    # a2 came within a's first turn.
    assert engine.inside == ["a1", "a2"]
    await engine.answer("a1", "a2")
    later(TURN_SECONDS)
    await engine.answer("b1", "b2")
    assert engine.inside == ["c1"]
    await engine.answer("c1")
    assert engine.inside == ["b3"]


async def test_whoever_hangs_up_holds_nobody_up(engine: Engine, later: Callable[[float], None]) -> None:
    await engine.ask("a1", "b1")
    later(TURN_SECONDS)
    await engine.ask("a2", "c1")
    await engine.hang_up("b1", "c1")
    # Nobody else waits any more.
    assert engine.inside == ["a1", "a2"]
    await engine.ask("b2")
    await engine.hang_up("a1", "a2")
    assert engine.inside == ["b2"]


async def test_whoever_hangs_up_as_his_turn_comes_leaves_again(engine: Engine) -> None:
    await engine.ask("a1", "b1", "c1")
    engine._done["a1"].set()
    await asyncio.sleep(0)
    await engine.hang_up("b1")
    assert engine.inside == ["c1"]
