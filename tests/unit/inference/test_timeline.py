"""What is noted of a request while somebody wants it, and that nothing is otherwise."""

from __future__ import annotations

import asyncio

import pytest

from paddock.errors import EngineLost
from paddock.inference import timeline
from paddock.inference.connection import Body
from paddock.inference.timeline import Step
from paddock.inference.upstream import Upstream
from tests.api import scripted


async def test_waiting_for_room_at_an_engine_is_a_queue() -> None:
    async def slow(writer: asyncio.StreamWriter, body: object) -> None:
        await asyncio.sleep(0.05)
        writer.write(scripted.plain({}))

    noted: dict[int, list[Step] | None] = {0: None, 1: [], 2: []}

    async def ask(up: Upstream, number: int) -> None:
        timeline.steps.set(noted[number])
        await up.send(b"POST", b"/x", b"{}", Body())

    async with scripted.serving(slow) as engine:
        up = Upstream(engine.url, None, 10, 1)
        await asyncio.gather(*[ask(up, number) for number in noted])
        up.close()
    assert noted[0] is None
    assert [[step.name for step in noted[number] or ()] for number in (1, 2)] == [["queue"], ["queue"]]
    first, second = ((noted[number] or [])[0] for number in (1, 2))
    assert 0.04 < first.ended - first.began < second.ended - second.began


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineLost("x"), "engine_lost"),
        (asyncio.CancelledError(), "aborted"),
        (ValueError("x"), "ValueError"),
    ],
)
def test_a_step_has_what_ended_it(error: BaseException, code: str) -> None:
    noted: list[Step] = []
    with pytest.raises(type(error)), timeline.step(noted, "engine", "r"):
        raise error
    assert [(one.name, one.replica, one.error) for one in noted] == [("engine", "r", code)]
    assert noted[0].began <= noted[0].ended
