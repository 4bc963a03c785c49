"""What callers are told of limits: headers and messages, and how much a request is taken to need."""

from __future__ import annotations

import calendar
import math
import time
from collections.abc import Sequence

from paddock.errors import BudgetSpent, RateLimited
from paddock.gateway.slices import LeaseSlice, RateSlice, Slice
from paddock.schemas.limits import NANO
from paddock.services.limits import CONCURRENT, REQUESTS, Window, frees_at

BYTES_PER_TOKEN = 3
"""English has four to five, code about three, Chinese and Japanese two to three. One would be an upper bound
for any text, and would refuse three of four requests that fit.
"""


def prompt_tokens(body_bytes: int) -> int:
    """About as many as the prompt of a request has, reserved when it comes and corrected when it is answered.

    Args:
        body_bytes: of the whole request, of which the prompt is nearly all, or little.
    """
    return -(-body_bytes // BYTES_PER_TOKEN)


def duration(seconds: float) -> str:
    """As OpenAI writes it in headers: `120ms`, `1s`, `6m0s`, `1h0m0s`."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def headers(requests: Sequence[RateSlice], tokens: Sequence[RateSlice], resets: Sequence[bytes]) -> bytes:
    """`x-ratelimit-*`, of the tighter one where key and project have a limit each.

    Args:
        resets: of requests and of tokens, how long it takes until all is to be had again, if nothing more is
            used.
    """
    lines, left = template(requests, tokens, resets)
    # What was used beyond an estimate may leave less than nothing.
    return lines % tuple(max(0, one) for one in left if one is not None)


def template(
    requests: Sequence[RateSlice], tokens: Sequence[RateSlice], resets: Sequence[bytes]
) -> tuple[bytes, tuple[int | None, int | None]]:
    """The lines of `headers` with a place for what remains of each kind; and what does of requests and of
    tokens, None of what is not limited.
    """
    lines = b""
    left: list[int | None] = []
    for kind, slices, reset in ((b"requests", requests, resets[0]), (b"tokens", tokens, resets[1])):
        if not slices:
            left.append(None)
            continue
        remaining, limit = min((one.room + one.spare, one.limit or 0) for one in slices)
        left.append(remaining)
        lines += b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\n" % (kind, limit, kind)
        lines += b"x-ratelimit-reset-%b: %b\r\n" % (kind, reset)
    return lines, (left[0], left[1])


def rate_limited(one: RateSlice, needed: int, now: float, window: Window) -> RateLimited:
    limit = one.limit or 0
    wait = math.ceil(max(1.0, free_at(one, needed, window) - now))
    many = "" if one.kind == REQUESTS else f", and this request may take {needed}"
    return RateLimited(
        f"the limit of {limit} {one.kind} per minute of {one.who} is reached{many}; try again in {wait} s",
        retry_after=wait,
    )


def free_at(one: RateSlice, needed: int, window: Window) -> float:
    """When so much is to be had, in seconds since 1970."""
    return frees_at(one.rows, needed - one.room - one.spare, window)


def reset(one: RateSlice, now: float, window: Window) -> bytes:
    """When the last of what was taken leaves the window."""
    last = one.rows[-1][0] if one.rows else window.tick(now)
    return duration(max(0.0, window.leaves_at(last) - now)).encode()


def short(one: LeaseSlice, now: float, currency: str) -> RateLimited:
    """There is nothing left of it."""
    if one.kind == CONCURRENT:
        return RateLimited(
            f"{one.who} has {one.limit} requests being answered, which is its limit of concurrent requests;"
            " try again when one of them is over",
            retry_after=1,
        )
    if one.spent + one.unwritten < (one.limit or 0):
        return RateLimited(
            f"what is left of {_budget(one, currency)} is reserved by requests that are being answered;"
            " try again when they are over",
            retry_after=1,
        )
    return spent(one, now, currency)


def spent(one: LeaseSlice, now: float, currency: str) -> BudgetSpent:
    """Nothing is left of the budget."""
    end = period_end(one.period, now)
    if end is None:
        return BudgetSpent(f"{_budget(one, currency)} is spent; whoever runs the server can raise it")
    begins = time.strftime("%Y-%m-%d %H:%M", time.gmtime(end))
    return BudgetSpent(
        f"{_budget(one, currency)} is spent; it begins anew on {begins} UTC", retry_after=math.ceil(end - now)
    )


def period_end(period: str, now: float) -> float | None:
    """When a budget's `day` or `month` of UTC is over, in seconds since 1970; None of a `total`."""
    if period == "total":
        return None
    if period == "day":
        return (now // 86_400 + 1) * 86_400
    year, month = time.gmtime(now)[:2]
    return float(calendar.timegm((year + month // 12, month % 12 + 1, 1, 0, 0, 0)))


def limits_of(slices: Sequence[Slice]) -> str:
    """Whose limits they are, for a message."""
    return " and ".join(dict.fromkeys(one.who for one in slices))


def _budget(one: LeaseSlice, currency: str) -> str:
    each = {"day": " a day", "month": " a month"}.get(one.period, "")
    amount = f"{(one.limit or 0) / NANO:.9f}".rstrip("0").rstrip(".")
    return f"the budget of {amount} {currency}{each} of {one.who}"
