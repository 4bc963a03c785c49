"""`paddock serve`: host models and answer for them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from paddock import settings as settings_module
from paddock.schemas.bounds import INT32


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8800]"
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the store, logs and converted weights.",
)
@click.option("--engine", type=click.Choice(["auto", "llama.cpp"]), help="Engine for local models.")
@click.option(
    "--attach",
    "attached",
    multiple=True,
    metavar="NAME=URL",
    help="Also route NAME to an OpenAI-compatible server that runs already; its key comes from"
    " PADDOCK_ATTACH_KEY_<NAME>. Repeatable.",
)
@click.option("--embeddings/--no-embeddings", default=None, help="Let local models answer /embeddings too.")
@click.option("--context-length", type=click.IntRange(1, INT32), help="Tokens of context for a request.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer requests.  [default: 1]")
@click.option(
    "--database-url", metavar="URL", help="PostgreSQL for the store, instead of SQLite in the data folder."
)
@click.option(
    "--public-url", metavar="URL", help="Address by which clients reach this server, for URLs in answers."
)
@click.option(
    "--require-keys", is_flag=True, default=None, help="Answer nobody without a key, on loopback neither."
)
@click.option(
    "--allow-anonymous",
    is_flag=True,
    default=None,
    help="Answer anybody without a key, also on an address that others reach, but as no admin.",
)
@click.option(
    "--allow-path",
    metavar="FOLDER",
    multiple=True,
    help="Folder below which callers may name models and files of jobs, or an s3:// address. Repeatable.",
)
@click.option(
    "--jobs",
    type=click.IntRange(0, 1000),
    help="Jobs that run at once; 0 leaves them to `paddock worker`.  [default: 4]",
)
@click.option("--access-log/--no-access-log", default=None, help="Write a line for each answered request.")
def serve(
    models: tuple[str, ...], attached: tuple[str, ...], allow_path: tuple[str, ...], **options: Any
) -> None:
    """Serve MODELs, and every deployment that the store has, in all dialects.

    A MODEL is the bundled `paddock/foal`, a folder in Hugging Face format, a `.gguf` file, or a hub id such
    as `org/name`. Without any, and without --attach, it serves `paddock/foal`.

    \b
    Examples:
      paddock serve
      paddock serve ~/models/Qwen3-0.6B --port 9000
      paddock serve --host 0.0.0.0 --require-keys
      paddock serve --workers 4 --database-url postgresql://paddock@db/paddock
      paddock serve --attach big=http://10.0.0.5:8000/v1
    """
    # Imported here, so that no other command pays for the server.
    from paddock.main.server import serve as run

    settings = settings_module.load({**options, "allow_path": os.pathsep.join(allow_path) or None})
    chosen = list(models) or ([] if attached else ["paddock/foal"])
    run(settings, chosen, attached, lambda text: print(text, file=sys.stderr, flush=True))
