"""`paddock keys set`: what a key is good for from now on."""

from __future__ import annotations

from typing import Any

import click

from paddock.cli.keys_options import SCOPES, end, limit_options, read_limits
from paddock.cli.keys_place import Keys, with_keys
from paddock.cli.keys_shown import facts
from paddock.cli.options import given
from paddock.cli.output import dump_json


@click.command("set")
@click.argument("identity", metavar="ID")
@click.option("--name", help="By which you know it again.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="What it is good for, instead of what it was good for before. Repeatable.",
)
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    help="Model that it may ask, instead of those before; '*' is every model. Repeatable.",
)
@limit_options
@click.option(
    "--expires", "expires_at", type=end, metavar="WHEN", help="When it ends: 30d, 2030-12-31, never."
)
@click.option("--json", "as_json", is_flag=True, help="Write the key as one JSON object.")
@with_keys
def change(
    keys: Keys,
    identity: str,
    name: str | None,
    scopes: tuple[str, ...],
    models: tuple[str, ...],
    expires_at: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Change a key. What is not given stays; a limit that is `none` is taken away.

    \b
    Examples:
      paddock keys set key-0123456789abcdef --rpm 120 --budget none
      paddock keys set key-0123456789abcdef --scope inference --expires 2030-12-31
    """
    asked = given(
        name=name,
        scopes=list(scopes) or None,
        models=_models(models),
        limits=read_limits(options) or None,
        expires_at=expires_at,
    )
    if not asked:
        raise click.UsageError("Give at least one option to change.", click.get_current_context())
    key = keys.change(identity, asked)
    if as_json:
        click.echo(dump_json(key, indent=2))
        return
    for line in facts(key):
        click.echo(line)


def _models(given: tuple[str, ...]) -> list[str] | None:
    """None leaves them; the empty list is every model."""
    return [] if "*" in given else list(given) or None
