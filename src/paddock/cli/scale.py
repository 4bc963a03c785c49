"""`paddock scale`: how many replicas there may be."""

from __future__ import annotations

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.options import given, server_options
from paddock.cli.output import printable
from paddock.cli.ps import workers


@click.command()
@click.argument("name")
@click.argument("workers_wanted", metavar="[WORKERS]", type=click.IntRange(min=0), required=False)
@click.option("--min", "min_workers", type=click.IntRange(min=0), help="Fewest replicas; 0 lets it sleep.")
@click.option("--max", "max_workers", type=click.IntRange(min=0), help="Most replicas; 0 stops it.")
@server_options
def scale(
    name: str,
    workers_wanted: int | None,
    min_workers: int | None,
    max_workers: int | None,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Change how many replicas a deployment may have.

    The deployment NAME gets exactly WORKERS, or as many as are needed between --min and --max.

    \b
    Examples:
      paddock scale foal 2
      paddock scale foal --min 0 --max 4
    """
    bounds = given(min_workers=min_workers, max_workers=max_workers)
    if (workers_wanted is None) == (not bounds):
        raise click.UsageError("Give either WORKERS, or --min, --max or both.", click.get_current_context())
    if workers_wanted is not None:
        bounds = {"min_workers": workers_wanted, "max_workers": workers_wanted}
    deployment = DeploymentsApi(base_url, api_key).scale(name, bounds)
    many = "worker" if workers(deployment) == "1" else "workers"
    said = "stopped" if deployment["status"] == "stopped" else f"{workers(deployment)} {many}"
    click.echo(f"{printable(deployment['name'])}: {said}")
