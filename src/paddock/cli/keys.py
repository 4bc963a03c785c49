"""`paddock keys`: who may use a server, and how much."""

from __future__ import annotations

import time
from typing import Any

import click

from paddock.cli.each import for_each
from paddock.cli.keys_create import create
from paddock.cli.keys_options import span
from paddock.cli.keys_place import Keys, with_keys
from paddock.cli.keys_set import change
from paddock.cli.keys_shown import facts, hand_over, limits
from paddock.cli.output import dump_json, printable
from paddock.cli.tables import age, moment, table

JSON = dict[str, Any]


@click.group()
def keys() -> None:
    """Make keys, and take them back.

    A key belongs to a project: who has one sees what the project has, and nothing of another. On a server
    that wants keys, these commands want one with the scope admin; with --data-dir they work on the store
    itself, and want none.

    \b
    Examples:
      paddock keys create --name admin --scope admin --data-dir ~/.paddock
      paddock keys create --name Ann --project shop --rpm 600 --budget 50
      paddock keys ls
      paddock keys revoke key-0123456789abcdef
    """


@keys.command()
@click.option("--project", help="Show only those of this project.")
@click.option("--revoked", is_flag=True, help="Show the revoked ones too.")
@click.option("--json", "as_json", is_flag=True, help="Write the keys as one JSON array.")
@with_keys
def ls(keys: Keys, project: str | None, revoked: bool, as_json: bool) -> None:
    """List the keys, by project. No secret is shown but its last four characters.

    \b
    Examples:
      paddock keys ls
      paddock keys ls --project shop --revoked --json | jq -r '.[].id'
    """
    found = keys.all(project, revoked)
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    if not found:
        click.echo("there is no key; make one with `paddock keys create --name NAME`", err=True)
        return
    now = time.time()
    columns = {
        "ID": [str(key["id"]) for key in found],
        "NAME": [str(key["name"]) for key in found],
        "PROJECT": [str(key["project"]) for key in found],
        "SCOPES": [", ".join(key["scopes"]) for key in found],
        "MODELS": [", ".join(key["models"]) for key in found],
        "LIMITS": [limits(key["limits"]) for key in found],
        "SECRET": [f"…{key['hint']}" for key in found],
        "AGE": [age(key["created_at"], now) for key in found],
        "STATE": [state(key, now) for key in found],
    }
    for line in table(columns):
        click.echo(line)


@keys.command()
@click.argument("identity", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Write the key as one JSON object.")
@with_keys
def show(keys: Keys, identity: str, as_json: bool) -> None:
    """Show what is known of a key.

    \b
    Examples:
      paddock keys show key-0123456789abcdef
    """
    key = keys.get(identity)
    if as_json:
        click.echo(dump_json(key, indent=2))
        return
    for line in facts(key):
        click.echo(line)


@keys.command()
@click.argument("identities", metavar="ID...", nargs=-1, required=True)
@with_keys
def revoke(keys: Keys, identities: tuple[str, ...]) -> None:
    """End keys for ever.

    Every process of a server refuses them within a second. What their owners made stays in the project. That
    it fails for one ID does not keep the others.

    \b
    Examples:
      paddock keys revoke key-0123456789abcdef
    """

    def end(identity: str) -> None:
        key = keys.revoke(identity)
        click.echo(printable(f"{key['id']} ({key['name']}) is revoked"))

    for_each(identities, end)


@keys.command()
@click.argument("identity", metavar="ID")
@click.option(
    "--keep-old",
    type=span,
    metavar="SPAN",
    default="0s",
    help="How long the secret before works too, such as 24h, at most 30d.  [default: not at all]",
)
@click.option("--json", "as_json", is_flag=True, help="Write the key with its secret as one JSON object.")
@with_keys
def rotate(keys: Keys, identity: str, keep_old: float, as_json: bool) -> None:
    """Give a key another secret, and write it. It is shown this once.

    \b
    Examples:
      paddock keys rotate key-0123456789abcdef
      paddock keys rotate key-0123456789abcdef --keep-old 24h
    """
    key = keys.rotate(identity, keep_old)
    old = f"works until {moment(time.time() + keep_old)}" if keep_old else "works no more"
    hand_over(key, f"{key['id']} ({key['name']}) has another secret; the one before {old}.", as_json)


def state(key: JSON, now: float) -> str:
    """`revoked`, `expired`, `until 2030-12-31 00:00:00`; empty for one that works for ever."""
    if key["revoked_at"] is not None:
        return "revoked"
    if key["expires_at"] is None:
        return ""
    return "expired" if key["expires_at"] <= now else f"until {moment(key['expires_at'])}"


for command in (create, change):
    keys.add_command(command)
