from __future__ import annotations

import calendar

import pytest

from paddock.gateway import limit_words
from paddock.gateway.limit_plans import Usual
from paddock.gateway.slices import LeaseSlice, RateSlice
from paddock.schemas.limits import NANO
from paddock.services.limits import BUDGET, CONCURRENT, REQUESTS, TOKENS, Leased, Taken, Window

WINDOW = Window()
NOW = float(calendar.timegm((2026, 12, 31, 23, 0, 0)))


def rate(kind: str, limit: int, room: int = 0, spare: int = 0) -> RateSlice:
    one = RateSlice("key:1", kind, "key 'ci'")
    one.limit, one.room, one.spare = limit, room, spare
    return one


def budget(period: str, spent: int) -> LeaseSlice:
    one = LeaseSlice("project:team", BUDGET, "project 'team'")
    one.limit, one.period, one.spent = 5 * NANO // 2, period, spent
    return one


class TestPromptTokens:
    def test_of_a_body_three_bytes_are_one(self) -> None:
        assert [limit_words.prompt_tokens(length) for length in (0, 1, 300, 301)] == [0, 1, 100, 101]


class TestUsual:
    def test_it_is_hardly_ever_exceeded(self) -> None:
        usual = Usual(256)
        lengths = [20 + 7 * number % 61 for number in range(400)]
        above = 0
        for number, length in enumerate(lengths):
            above += number > 50 and length > usual.most
            usual.learn(length)
        assert above < 20
        assert usual.most < 130


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "0ms"),
            (0.12, "120ms"),
            (1, "1s"),
            (59.2, "1m0s"),
            (60, "1m0s"),
            (360, "6m0s"),
            (7322, "2h2m2s"),
        ],
    )
    def test_as_openai_writes_it(self, seconds: float, text: str) -> None:
        assert limit_words.duration(seconds) == text


class TestHeaders:
    def test_of_the_tighter_limit(self) -> None:
        requests = [rate(REQUESTS, 100, room=50, spare=5), rate(REQUESTS, 60, room=30, spare=1)]
        tokens = [rate(TOKENS, 1000, room=-20)]
        assert limit_words.headers(requests, tokens, (b"1m0s", b"30s")).splitlines(keepends=True) == [
            b"x-ratelimit-limit-requests: 60\r\n",
            b"x-ratelimit-remaining-requests: 31\r\n",
            b"x-ratelimit-reset-requests: 1m0s\r\n",
            b"x-ratelimit-limit-tokens: 1000\r\n",
            b"x-ratelimit-remaining-tokens: 0\r\n",
            b"x-ratelimit-reset-tokens: 30s\r\n",
        ]

    def test_of_what_has_no_limit_there_are_none(self) -> None:
        assert limit_words.headers([], [], (b"1m0s", b"1m0s")) == b""


class TestMessages:
    def test_a_rate_says_which_and_when(self) -> None:
        one = rate(TOKENS, 100, room=10)
        one.rows = [(WINDOW.tick(NOW - 50), 40), (WINDOW.tick(NOW - 10), 50)]
        error = limit_words.rate_limited(one, 30, NOW, WINDOW)
        assert error.message == (
            "the limit of 100 tokens per minute of key 'ci' is reached, and this request may take 30;"
            " try again in 11 s"
        )
        assert error.retry_after == 11
        # More than what leaves first.
        assert limit_words.rate_limited(one, 60, NOW, WINDOW).retry_after == 51
        assert limit_words.reset(one, NOW, WINDOW) == b"51s"

    def test_a_budget_says_when_it_begins_anew(self) -> None:
        error = limit_words.short(budget("month", 3 * NANO), NOW, "EUR")
        assert error.message == (
            "the budget of 2.5 EUR a month of project 'team' is spent; it begins anew on 2027-01-01 00:00 UTC"
        )
        assert (error.status, error.code, error.retry_after) == (429, "insufficient_quota", 3600)

    def test_a_total_never_does(self) -> None:
        error = limit_words.short(budget("total", 3 * NANO), NOW, "USD")
        assert error.message == (
            "the budget of 2.5 USD of project 'team' is spent; whoever runs the server can raise it"
        )
        assert error.retry_after is None

    def test_what_is_reserved_may_come_back(self) -> None:
        error = limit_words.short(budget("month", NANO), NOW, "EUR")
        assert "is reserved by requests that are being answered" in error.message
        assert error.retry_after == 1

    def test_requests_at_once(self) -> None:
        one = LeaseSlice("key:1", CONCURRENT, "key 'ci'")
        one.limit = 2
        error = limit_words.short(one, NOW, "EUR")
        assert error.message.startswith("key 'ci' has 2 requests being answered")
        assert (error.code, error.retry_after) == ("rate_limit_exceeded", 1)


class TestSlices:
    def test_what_is_too_old_goes_back_under_its_tick(self) -> None:
        one = rate(REQUESTS, 1000)
        for at, got in ((100.0, 10), (100.3, 20)):
            asked = one.ask(1000, at)
            assert asked is not None
            one.answer(asked, Taken(WINDOW.tick(at), got, 0, []), at, WINDOW, at)
        one.use(4)
        assert one.in_hand(100.4) == 26
        one.expire(100.6)
        assert (one.back, one.spare) == ({WINDOW.tick(100.0): 6}, 20)
        one.expire(100.9)
        assert one.back == {WINDOW.tick(100.0): 6, WINDOW.tick(100.3): 20}
        assert one.spare == 0

    def test_of_a_small_limit_nothing_is_kept(self) -> None:
        one = rate(REQUESTS, 3)
        asked = one.ask(1, 100.0)
        assert asked is not None
        assert asked.more == 0
        one.answer(asked, Taken(1000, 1, 2, []), 100.0, WINDOW, 100.0)
        assert one.in_hand(100.0) == 0

    def test_what_comes_too_late_is_not_used(self) -> None:
        one = rate(REQUESTS, 3)
        asked = one.ask(2, 100.0)
        assert asked is not None
        one.answer(asked, Taken(1000, 2, 1, []), 100.0, WINDOW, 101.0)
        assert (one.spare, one.room, one.back) == (0, 3, {1000: 2})

    def test_what_is_written_meanwhile_is_not_free(self) -> None:
        one = budget("total", 0)
        asked = one.ask(100, 100.0)
        assert asked is not None
        one.use(100)
        one.unwritten = 100
        one.written(100)
        one.answer(asked, Leased(100, 0, 0), 100.0, 1.0)
        assert (one.used, one.spare) == (0, 0)
