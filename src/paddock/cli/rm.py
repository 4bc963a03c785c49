"""`paddock rm`: forget a deployment."""

from __future__ import annotations

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.each import for_each, until
from paddock.cli.options import server_options
from paddock.cli.output import printable
from paddock.errors import Conflict, NotFound

_RUNNING = ("pending", "starting", "ready")


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Also while it serves or starts; requests get time to finish.")
@server_options
def rm(names: tuple[str, ...], force: bool, base_url: str | None, api_key: str | None) -> None:
    """Delete deployments.

    Waits until the engines of each NAME are gone and the name is free.

    \b
    Examples:
      paddock rm foal
      paddock rm foal other --force
    """
    api = DeploymentsApi(base_url, api_key)

    def delete(name: str) -> None:
        deployment = api.get(name)
        shown = printable(deployment["name"])
        if deployment["status"] in _RUNNING and not force:
            raise Conflict(
                f"{shown} is {deployment['status']}: stop it first with `paddock stop {shown}`,"
                " or use --force"
            )
        if deployment["status"] != "deleting":
            api.delete(deployment["id"])
        until(lambda: _is_gone(api, deployment["id"]))
        click.echo(f"{shown} is deleted")

    for_each(names, delete)


def _is_gone(api: DeploymentsApi, identity: str) -> bool:
    try:
        api.get(identity)
    except NotFound:
        return True
    return False
