"""How the benchmarks of the ledger compare its rows with what was answered."""

from __future__ import annotations

from bench import answers, books, keys, limited, probe
from bench.books import Row
from bench.ledger import judge
from bench.limited import Pressed
from bench.mixed import CUT, LEFT, PLAIN, UNKNOWN, Asked, read


def row(identity: str, prompt: int, completion: int, outcome: str = "ok", key: str = "ann") -> Row:
    cost = keys.PRICE.cost(prompt, 0, completion)
    return Row(identity, key, outcome, prompt, completion, cost)


WHOLE = Asked(0, PLAIN, "ann", "a", 200, 9, 12, ended_at=1.0)
LEAVER = Asked(1, CUT, "ann", "b", 200, estimate=50)
NEVER_KNEW = Asked(2, LEFT, "ann")
LOST = Asked(3, UNKNOWN, "ann", "d", 404, ended_at=1.0)
SENT = {1: 17, 2: 12}
RIGHT = [row("a", 9, 12), row("b", 50, 17, "aborted"), row("c", 0, 12, "aborted")]


class TestJudge:
    def test_right_rows_sum_up_to_what_was_answered(self) -> None:
        verdict = judge([WHOLE, LEAVER, NEVER_KNEW, LOST], RIGHT, SENT)
        assert (verdict.wrong, verdict.problems) == (0, [])
        assert verdict.expected == books.summed(RIGHT)

    def test_a_row_that_lacks_is_expected_all_the_same(self) -> None:
        verdict = judge([WHOLE, LEAVER], RIGHT[1:2], SENT)
        assert verdict.wrong == 1
        assert verdict.expected["ann"].completion == 12 + 17

    def test_a_token_too_few_is_found(self) -> None:
        assert judge([LEAVER], [row("b", 50, 16)], SENT).wrong == 1

    def test_a_row_that_is_nobodys_is_found(self) -> None:
        assert judge([WHOLE], RIGHT, SENT).wrong == 1

    def test_a_row_of_a_request_that_reached_no_model_is_found(self) -> None:
        assert judge([LOST], [row("d", 0, 0)], SENT).wrong == 1

    def test_those_who_never_knew_are_compared_by_the_sum(self) -> None:
        assert judge([NEVER_KNEW], [row("c", 0, 11)], SENT).wrong == 1
        assert judge([NEVER_KNEW, Asked(4, LEFT, "ann")], [row("c", 9, 12)], SENT).wrong == 0


class TestMixed:
    def test_a_stream_says_its_tokens_by_its_pieces(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"".join(map(answers.http_chunk, answers.events(answers.TEXT)))
        asked = Asked(0, "stream", "ann", "0" * 32)
        read(asked, probe.parsed(head + body + answers.http_chunk(b"")))
        assert (asked.prompt, asked.completion, asked.problem) == (9, answers.CHUNKS, "")


class TestLimited:
    def test_the_most_in_any_window(self) -> None:
        pressed = Pressed("", [], 0)
        pressed.through = [(0.0, 5), (1.0, 10), (60.0, 20), (60.5, 40), (limited.WINDOW + 61.0, 1)]
        assert pressed.most() == 3
        assert pressed.most(tokens=True) == 70
