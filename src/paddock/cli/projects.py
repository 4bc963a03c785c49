"""`paddock projects`: what those who share one may use together."""

from __future__ import annotations

import time
from typing import Any

import click

from paddock.cli.keys_options import limit_options, read_limits
from paddock.cli.keys_place import Keys, with_keys
from paddock.cli.keys_shown import limits
from paddock.cli.output import dump_json, printable
from paddock.cli.tables import age, table


@click.group()
def projects() -> None:
    """Limit what all keys of a project may use together.

    A project begins with its first key: see `paddock keys create --project`.

    \b
    Examples:
      paddock projects ls
      paddock projects set shop --rpm 1200 --budget 500
    """


@projects.command()
@click.option("--json", "as_json", is_flag=True, help="Write the projects as one JSON array.")
@with_keys
def ls(keys: Keys, as_json: bool) -> None:
    """List the projects that have keys.

    \b
    Examples:
      paddock projects ls
      paddock projects ls --json | jq -r '.[].name'
    """
    found = keys.projects()
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    if not found:
        click.echo("there is no project; make one with `paddock keys create --project NAME`", err=True)
        return
    now = time.time()
    columns = {
        "NAME": [str(one["name"]) for one in found],
        "LIMITS": [limits(one["limits"]) for one in found],
        "AGE": [age(one["created_at"], now) for one in found],
    }
    for line in table(columns):
        click.echo(line)


@projects.command("set")
@click.argument("name")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="Write the project as one JSON object.")
@with_keys
def change(keys: Keys, name: str, as_json: bool, **options: Any) -> None:
    """Change what the keys of project NAME may use together. What is not given stays; `none` takes it away.

    \b
    Examples:
      paddock projects set shop --rpm 1200 --budget 500 --budget-period month
      paddock projects set shop --budget none
    """
    wished = read_limits(options)
    if not wished:
        raise click.UsageError("Give at least one limit to change.", click.get_current_context())
    project = keys.limit_project(name, wished)
    if as_json:
        click.echo(dump_json(project, indent=2))
        return
    click.echo(printable(f"{project['name']}: {limits(project['limits']) or 'no limits'}"))
