"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def server_options(command: Command) -> Command:
    """--base-url and --api-key, passed on as `base_url` and `api_key`."""
    command = click.option(
        "--api-key", metavar="KEY", help="Key to send, if the server wants one.  [env: PADDOCK_API_KEY]"
    )(command)
    return click.option(
        "--base-url",
        metavar="URL",
        help="Server to talk to.  [env: PADDOCK_BASE_URL; default: http://127.0.0.1:8800]",
    )(command)


def sampling_options(command: Command) -> Command:
    """--temperature and --seed."""
    command = click.option("--seed", type=int, help="Same seed, same answer, as far as the engine can.")(
        command
    )
    return click.option(
        "--temperature",
        type=click.FloatRange(0, 2),
        help="How freely to choose words: 0 always takes the likeliest.  [default: the server's]",
    )(command)


def given(**values: Any) -> dict[str, Any]:
    """Those that the user gave, so that the server's defaults hold for the others."""
    return {name: value for name, value in values.items() if value is not None}
