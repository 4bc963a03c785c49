"""`paddock files`: what is stored for batches and other work."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from paddock.cli.each import for_each
from paddock.cli.files_api import FilesApi
from paddock.cli.files_written import new_file
from paddock.cli.options import server_options
from paddock.cli.output import dump_json, printable
from paddock.cli.tables import age, moment, size, table
from paddock.errors import PaddockError, StartupError

JSON = dict[str, Any]


@click.group()
def files() -> None:
    """Store files on a server, and fetch them.

    \b
    Examples:
      paddock files upload batch.jsonl --purpose batch
      paddock files get file-0123456789abcdef01234567 --out answers.jsonl
    """


@files.command()
@click.option("--purpose", help="Show only those for this purpose.")
@click.option("--json", "as_json", is_flag=True, help="Write the files as one JSON array.")
@server_options
def ls(purpose: str | None, as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """List the files, the newest first.

    \b
    Examples:
      paddock files ls
      paddock files ls --purpose batch_output --json | jq -r '.[].id'
    """
    found = list(FilesApi(base_url, api_key).all(purpose))
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    if not found:
        click.echo("there is no file", err=True)
        return
    now = time.time()
    columns = {
        "ID": [str(file["id"]) for file in found],
        "NAME": [str(file["filename"]) for file in found],
        "SIZE": [size(file["bytes"]) for file in found],
        "PURPOSE": [str(file["purpose"]) for file in found],
        "AGE": [age(file["created_at"], now) for file in found],
    }
    for line in table(columns):
        click.echo(line)


@files.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--purpose", default="user_data", show_default=True, help="What it is for: `batch`, …")
@click.option("--name", help="What the server calls it.  [default: the file's name]")
@click.option("--json", "as_json", is_flag=True, help="Write the stored file as a JSON object.")
@server_options
def upload(
    path: Path, purpose: str, name: str | None, as_json: bool, base_url: str | None, api_key: str | None
) -> None:
    """Store a file, and write its id.

    \b
    Examples:
      paddock files upload batch.jsonl --purpose batch
    """
    try:
        with path.open("rb") as file:
            stored = FilesApi(base_url, api_key).upload(file, name or path.name, purpose)
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror or error}") from error
    click.echo(dump_json(stored, indent=2) if as_json else printable(str(stored["id"])))


@files.command()
@click.argument("identity", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Write the file's facts as a JSON object.")
@server_options
def show(identity: str, as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """Show what is known of a file.

    \b
    Examples:
      paddock files show file-0123456789abcdef01234567
    """
    file = FilesApi(base_url, api_key).get(identity)
    if as_json:
        click.echo(dump_json(file, indent=2))
        return
    expires = file.get("expires_at")
    facts = {
        "name": str(file["filename"]),
        "size": f"{size(file['bytes'])} ({file['bytes']:,} bytes)",
        "purpose": str(file["purpose"]),
        "created": f"{moment(file['created_at'])} ({age(file['created_at'])} ago)",
        "removed": moment(expires) if expires else "",
    }
    click.echo(printable(str(file["id"])))
    for name, text in facts.items():
        if text:
            click.echo(f"  {name.ljust(7)}  {' '.join(printable(text).split())}")


@files.command()
@click.argument("identity", metavar="ID")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it.  [default: standard output]",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there.")
@server_options
def get(identity: str, out: Path | None, overwrite: bool, base_url: str | None, api_key: str | None) -> None:
    """Fetch a file's content.

    OUT is there whole or not at all.

    \b
    Examples:
      paddock files get file-0123456789abcdef01234567 --out answers.jsonl
      paddock files get file-0123456789abcdef01234567 | head -1
    """
    api = FilesApi(base_url, api_key)
    if out is None:
        sys.stdout.flush()
        api.download(identity, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    if out.exists() and not overwrite:
        raise StartupError(f"{out} is there already: choose another --out, or use --overwrite")
    total = api.get(identity)["bytes"]
    with new_file(out) as output:
        api.download(identity, output, total)


@files.command()
@click.argument("identities", metavar="ID...", nargs=-1, required=True)
@server_options
def rm(identities: tuple[str, ...], base_url: str | None, api_key: str | None) -> None:
    """Remove files.

    One that an unfinished batch reads stays. That one cannot be removed does not keep the others.

    \b
    Examples:
      paddock files rm file-0123456789abcdef01234567
    """
    api = FilesApi(base_url, api_key)

    def remove(identity: str) -> None:
        if not api.delete(identity).get("deleted"):
            raise PaddockError(f"the server did not remove {identity}")
        click.echo(f"{printable(identity)} is removed")

    for_each(identities, remove)
