"""One verb for several deployments: that it fails for one is no reason to leave out the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click

from paddock.cli.output import printable
from paddock.errors import PaddockError

POLL_SECONDS = 0.1


def for_each(names: Sequence[str], verb: Callable[[str], None]) -> None:
    """Ends the command with exit code 1 if the verb failed for a name."""
    failed = False
    for name in dict.fromkeys(names):
        try:
            verb(name)
        except PaddockError as error:
            click.echo(f"paddock: {printable(error.message)}", err=True)
            failed = True
    if failed:
        click.get_current_context().exit(1)


def until(condition: Callable[[], bool]) -> None:
    """Waits; the server has a deadline for whatever passes."""
    while not condition():
        time.sleep(POLL_SECONDS)
