from __future__ import annotations

import threading
from typing import Any

import pytest

from paddock.clients.cortecs.thread_calls import undisturbed


@pytest.mark.parametrize("has_started", [False, True])
def test_a_ctrl_c_while_the_thread_starts_comes_after_the_call(
    monkeypatch: pytest.MonkeyPatch, has_started: bool
) -> None:
    start, presses = threading.Thread.start, [1]

    def interrupted(thread: threading.Thread) -> None:
        pressed = presses.pop() if presses else 0
        if has_started or not pressed:
            start(thread)
        if pressed:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        undisturbed(lambda: calls.append(1))
    assert calls == [1]


def test_without_a_thread_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError, match="start new thread"):
        undisturbed(lambda: pytest.fail("called"))
