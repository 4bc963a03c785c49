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
LONGEST_SPAN = 30 * 86_400
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


def span(text: str) -> float:
    """Seconds, written as `30s`, `15m`, `24h`, `30d` or `2w`."""
    seconds = _seconds(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} must be a number with s, m, h, d or w, such as 24h or 30d.")
    if seconds > LONGEST_SPAN:
        raise click.BadParameter(f"{text!r} is too long; it may be up to {LONGEST_SPAN // 86_400}d.")
    return seconds


def end(text: str) -> float:
    """Seconds since 1970, written as a span from now, a date or a time; 0.0 for `never`."""
    if text == NEVER:
        return 0.0
    found = _end(text, time.time())
    if found is None:
        raise click.BadParameter(
            f"{text!r} must be a span such as 30d, a date such as 2030-12-31, a time such as"
            " 2030-12-31T18:00, or never."
        )
    return found


def count(text: str) -> int | str:
    """A whole number, or `none` for no limit."""
    if text == NONE:
        return NONE
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise click.BadParameter(f"{text!r} must be a whole number, or none for no limit.")
    return int(text)


def amount(text: str) -> float | str:
    """An amount of the currency, or `none` for no limit."""
    if text == NONE:
        return NONE
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise click.BadParameter(f"{text!r} must be an amount, or none for no limit.")
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
            type=amount,
            metavar="AMOUNT",
            help="Most that it may cost in the budget's period, in the currency of the prices.",
        ),
        click.option("--concurrency", type=count, metavar="N", help="Most requests being answered at once."),
        click.option(
            "--tpm",
            type=count,
            metavar="N",
            help="Most tokens in any 60 seconds, of prompts and answers together.",
        ),
        click.option("--rpm", type=count, metavar="N", help="Most requests in any 60 seconds."),
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
        return at.timestamp() if at.timestamp() > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
