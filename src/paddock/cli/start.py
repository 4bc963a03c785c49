"""`paddock start`: start a deployment that was stopped or has failed."""

from __future__ import annotations

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.each import for_each
from paddock.cli.options import server_options
from paddock.cli.output import printable
from paddock.cli.start_progress import failure, wait_until_started


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-d", "--detach", is_flag=True, help="Do not wait until they are ready.")
@server_options
def start(names: tuple[str, ...], detach: bool, base_url: str | None, api_key: str | None) -> None:
    """Start stopped or failed deployments again.

    Waits for one NAME after the other, as `paddock deploy` does.

    \b
    Examples:
      paddock start foal
      paddock start foal other --detach
    """
    api = DeploymentsApi(base_url, api_key)

    def begin(name: str) -> None:
        deployment = api.start(name)
        if not detach:
            deployment = wait_until_started(api, deployment)
        if deployment["status"] == "failed":
            raise failure(deployment)
        click.echo(f"{printable(deployment['name'])} is {deployment['status']}")

    for_each(names, begin)
