from __future__ import annotations

from paddock.main.backoff import FIRST, LONGEST, WELL, Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TestBackoff:
    def test_doubles_up_to_a_limit(self) -> None:
        backoff = Backoff(Clock())
        waits = [backoff.next() for _ in range(12)]
        assert waits[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
        assert waits[-1] == LONGEST

    def test_begins_anew_after_running_well(self) -> None:
        clock = Clock()
        backoff = Backoff(clock)
        for _ in range(5):
            backoff.next()
        clock.now = WELL + LONGEST + 1
        assert backoff.next() == FIRST
