"""`paddock keys create`: a key for a person or a program."""

from __future__ import annotations

from typing import Any

import click

from paddock.cli.keys_options import SCOPES, end, limit_options, read_limits
from paddock.cli.keys_place import Keys, with_keys
from paddock.cli.keys_shown import hand_over
from paddock.cli.options import given


@click.command()
@click.option("--name", required=True, help="Whose it is: by it you know the key again.")
@click.option("--project", help="What it belongs to; made if there is none.  [default: local]")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="What it is good for. Repeatable.  [default: inference and manage]",
)
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    help="Model that it may ask, with * for any text. Repeatable.  [default: every model]",
)
@limit_options
@click.option(
    "--expires",
    "expires_at",
    type=end,
    metavar="WHEN",
    help="When it ends: 30d, 2030-12-31.  [default: never]",
)
@click.option("--json", "as_json", is_flag=True, help="Write the key with its secret as one JSON object.")
@with_keys
def create(
    keys: Keys,
    name: str,
    project: str | None,
    scopes: tuple[str, ...],
    models: tuple[str, ...],
    expires_at: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a key, and write its secret. It is shown this once.

    The secret is alone on standard output; what else there is to say goes to standard error.

    \b
    Examples:
      paddock keys create --name admin --scope admin --data-dir ~/.paddock
      KEY=$(paddock keys create --name Ann --project shop)
      paddock keys create --name ci --scope inference --model 'paddock/*' --rpm 60 --expires 30d --json
    """
    asked = given(
        name=name,
        project=project,
        scopes=list(scopes) or None,
        models=list(models) or None,
        limits=read_limits(options) or None,
        expires_at=expires_at or None,
    )
    key = keys.create(asked)
    hand_over(
        key,
        f"{key['id']} is made for {key['name']} in project {key['project']}, good for"
        f" {' and '.join(key['scopes'])}.",
        as_json,
    )
