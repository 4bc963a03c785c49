"""`paddock stop`: end a deployment's engines and keep the deployment."""

from __future__ import annotations

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.each import for_each, until
from paddock.cli.options import server_options
from paddock.cli.output import printable


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@server_options
def stop(names: tuple[str, ...], base_url: str | None, api_key: str | None) -> None:
    """Stop deployments, and keep what was wished.

    Waits until the engines of each NAME are gone. Requests that run get time to finish. A request for a
    stopped deployment is refused and wakes nothing.

    \b
    Examples:
      paddock stop foal
    """
    api = DeploymentsApi(base_url, api_key)

    def end(name: str) -> None:
        deployment = api.stop(name)
        until(lambda: not api.get(deployment["id"])["replicas"])
        click.echo(f"{printable(deployment['name'])} is stopped")

    for_each(names, end)
