"""What the commands of keys and projects are given: limits, and when a key ends."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
NONE, NEVER = "none", "never"
SCOPES = ("inference", "manage", "admin")
PERIODS = ("day", "month", "total")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SPAN = re.compile(r"(\d{1,9})([smhdw])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# By the option that sets it: what the API calls it.
_LIMITS = {
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "concurrency": "concurrent_requests",
    "budget": "budget",
    "budget_period": "budget_period",
}


class Span(click.ParamType):
    """Seconds, written as `30s`, `15m`, `24h`, `30d` or `2w`.

    Args:
        most: seconds that it may be.
    """

    name = "span"

    def __init__(self, most: float) -> None:
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        seconds = _seconds(value)
        if seconds is None:
            self.fail(f"{value!r} must be a number with s, m, h, d or w, such as 24h or 30d.", param, ctx)
        if seconds > self._most:
            self.fail(f"{value!r} is too long; it may be up to {self._most / 86_400:g}d.", param, ctx)
        return seconds


class End(click.ParamType):
    """Seconds since 1970, written as a `Span` from now, a date or a time; 0.0 for `never`."""

    name = "end"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        if value == NEVER:
            return 0.0
        end = _end(value, time.time())
        if end is None:
            self.fail(
                f"{value!r} must be a span such as 30d, a date such as 2030-12-31, a time such as"
                " 2030-12-31T18:00, or never.",
                param,
                ctx,
            )
        return end


class Limit(click.ParamType):
    """A number, or `none` for no limit."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.name = f"{'integer' if kind is int else 'number'} or none"
        self._kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float | str:
        if value == NONE:
            return NONE
        try:
            number = self._kind(value)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:
            what = "a whole number" if self._kind is int else "an amount"
            self.fail(f"{value!r} must be {what}, or none for no limit.", param, ctx)
        return number


def limit_options(command: Command) -> Command:
    """--rpm, --tpm, --concurrency, --budget and --budget-period; `read_limits` takes them."""
    for option in (
        click.option(
            "--budget-period",
            type=click.Choice(PERIODS),
            help="How long the budget is for, in UTC.  [default: month]",
        ),
        click.option(
            "--budget",
            type=Limit(float),
            metavar="AMOUNT",
            help="Most that it may cost in the budget's period, in the currency of the prices.",
        ),
        click.option(
            "--concurrency", type=Limit(int), metavar="N", help="Most requests being answered at once."
        ),
        click.option(
            "--tpm",
            type=Limit(int),
            metavar="N",
            help="Most tokens in any 60 seconds, of prompts and answers together.",
        ),
        click.option("--rpm", type=Limit(int), metavar="N", help="Most requests in any 60 seconds."),
    ):
        command = option(command)
    return command


def read_limits(options: dict[str, Any]) -> dict[str, Any]:
    """Takes the options of `limit_options` out; the limits as the API has them, those that were given."""
    taken = {_LIMITS[name]: options.pop(name) for name in _LIMITS}
    return {name: None if value == NONE else value for name, value in taken.items() if value is not None}


def _seconds(text: str) -> float | None:
    match = _SPAN.fullmatch(text.strip().lower())
    return float(int(match[1]) * _UNITS[match[2]]) if match else None


def _end(text: str, now: float) -> float | None:
    """None if it is not written so. A time without a zone is of this machine's; a date is meant with all of
    its day.
    """
    span = _seconds(text)
    if span is not None:
        return now + span
    try:
        at = datetime.fromisoformat(text.strip())
        if _DATE.fullmatch(text.strip()):
            at += timedelta(days=1)
        return at.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
