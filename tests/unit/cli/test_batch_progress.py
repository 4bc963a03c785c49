"""What is shown of how far a batch is, and the waiting for a server that is away."""

from __future__ import annotations

import pytest

from paddock.cli.batch_progress import Pace, Standing, display
from paddock.cli.waiting import patiently
from paddock.errors import PaddockError, RateLimited, Unavailable


class TestStanding:
    @pytest.mark.parametrize(
        ("standing", "text"),
        [
            (Standing("answering", 0, 0, 2000), "0 of 2,000 prompts"),
            (
                Standing("answering", 1200, 3, 2000, 14.0),
                "1,200 of 2,000 prompts · 3 failed · 14 prompts/s · 57 s left",
            ),
            (Standing("finishing", 5, 0, 5, 0.25), "5 of 5 prompts · 0.2 prompts/s"),
        ],
    )
    def test_text(self, standing: Standing, text: str) -> None:
        assert str(standing) == text


class TestPace:
    def test_what_was_done_before_does_not_count(self) -> None:
        pace = Pace()
        assert pace.see(1000, 5.0) is None
        assert pace.see(1010, 10.0) == 2.0

    def test_it_is_that_of_late(self) -> None:
        pace = Pace()
        for second in range(100):
            pace.see(second, float(second))
        for second in range(100, 140):
            rate = pace.see(100 + (second - 100) * 5, float(second))
        assert rate == pytest.approx(5.0)

    def test_looks_far_apart(self) -> None:
        pace = Pace()
        pace.see(0, 0.0)
        assert pace.see(600, 600.0) == 1.0


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("paddock.cli.progress_lines.time.monotonic", lambda: now)
    with display() as shown:
        shown.show(Standing("checking", 0, 0, 9))
        for done in range(5):
            shown.show(Standing("answering", done, 0, 9))
            now += 4.0
        shown.say("away\x1b[2J")
    assert capsys.readouterr().err.splitlines() == [
        "checking: 0 of 9 prompts",
        "answering: 0 of 9 prompts",
        "answering: 3 of 9 prompts",
        "away[2J",
    ]


class TestPatiently:
    @pytest.fixture(autouse=True)
    def waited(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        waited: list[float] = []
        monkeypatch.setattr("paddock.cli.waiting.time.sleep", waited.append)
        return waited

    def ask(self, *outcomes: Exception | str) -> tuple[str, list[str]]:
        said: list[str] = []
        left = list(outcomes)

        def once() -> str:
            outcome = left.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return patiently(once, said.append), said

    def test_no_wait_no_word(self) -> None:
        assert self.ask("answer") == ("answer", [])

    def test_a_server_that_restarts(self, waited: list[float]) -> None:
        refused = PaddockError("cannot connect", code="connection")
        starting = Unavailable("the server is starting", retry_after=1.0)
        answer, said = self.ask(refused, refused, starting, RateLimited("slowly"), "answer")
        assert answer == "answer"
        assert said == [
            "the server is away; waiting until it answers again",
            "the server is starting; waiting until it answers again",
            "slowly; waiting until it answers again",
            "the server answers again",
        ]
        assert waited == [0.5, 1.0, 2.0, 4.0]

    def test_what_does_not_pass(self) -> None:
        with pytest.raises(PaddockError, match="no such thing"):
            self.ask(PaddockError("no such thing", code="status"))
