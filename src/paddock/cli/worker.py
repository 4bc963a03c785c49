"""`paddock worker`: run jobs beside a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from paddock import settings as settings_module


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the store and logs: that of the server, where both use SQLite.",
)
@click.option(
    "--database-url", metavar="URL", help="PostgreSQL for the store, instead of SQLite in the data folder."
)
@click.option("--jobs", type=click.IntRange(1, 1000), help="Jobs that it runs at once.  [default: 4]")
@click.option(
    "--attach",
    "attached",
    multiple=True,
    metavar="NAME=URL",
    help="Run batches for NAME by an OpenAI-compatible server that runs already, as `paddock serve` does;"
    " its key comes from PADDOCK_ATTACH_KEY_<NAME>. Repeatable.",
)
def worker(attached: tuple[str, ...], **options: Any) -> None:
    """Run the jobs that a server accepts.

    `paddock serve` runs jobs itself, unless it has --jobs 0. Workers beside it share the work: no job is run
    by two at once, and those of a worker that dies are gone on with by another.

    \b
    Examples:
      paddock worker --database-url postgresql://paddock@db/paddock
      paddock worker --jobs 1
    """
    # Imported here, so that no other command pays for it.
    from paddock.main.jobs import work

    settings = settings_module.load(options)
    work(settings, attached, lambda text: print(text, file=sys.stderr, flush=True))
