"""What the benchmarks compute from what they saw."""

from __future__ import annotations

import pytest

from bench import answers, load, overhead, probe, report

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def streamed(events: list[bytes]) -> probe.Answer:
    return probe.parsed(
        HEAD + b"".join(answers.http_chunk(event) for event in events) + answers.http_chunk(b"")
    )


class TestChecks:
    def test_a_whole_stream_passes(self) -> None:
        probe.check_stream(streamed(answers.events(answers.CHAT)), answers.STREAMED, answers.CHUNKS)

    @pytest.mark.parametrize("lost", [5, -1])
    def test_a_stream_without_a_token_or_done_fails(self, lost: int) -> None:
        events = answers.events(answers.CHAT)
        del events[lost]
        with pytest.raises(RuntimeError, match="not"):
            probe.check_stream(streamed(events), answers.STREAMED, answers.CHUNKS)

    def test_a_plain_answer_is_compared(self) -> None:
        answer = probe.parsed(answers.http_json(answers.plain(answers.CHAT)))
        probe.check_plain(answer, answers.SENTENCE)
        with pytest.raises(RuntimeError):
            probe.check_plain(answer, "something else")


class TestLoad:
    def test_an_answer_under_way_counts_by_its_bytes(self) -> None:
        seen = load.Load(seconds=10, answers=100, bytes=110 * 500, errors=0, p50=1, p99=2)
        assert seen.rate(500) == 11

    def test_merged_chunks_cost_nothing(self) -> None:
        seen = load.Load(seconds=10, answers=100, bytes=100 * 490, errors=0, p50=1, p99=2)
        assert seen.rate(500) == 10


class TestReport:
    def test_targets_know_their_direction(self) -> None:
        assert report.Target("", 0.2, 0.2).ok
        assert not report.Target("", 0.19, 0.2).ok
        assert report.Target("", 0.1, 0.1, at_most=True).ok
        assert not report.Target("", 0.11, 0.1, at_most=True).ok

    def test_numbers_keep_three_digits(self) -> None:
        assert [report.number(n) for n in (38912.4, 12.34, 1.234, 0.1234)] == [
            "38,912",
            "12.3",
            "1.23",
            "0.123",
        ]

    def test_turns_begin_elsewhere(self) -> None:
        assert [overhead.rotated("abc", turn) for turn in (0, 1, 5)] == [
            list("abc"),
            list("bca"),
            list("cab"),
        ]
