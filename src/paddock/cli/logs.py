"""`paddock logs`: what a deployment's engines write."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Any

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.options import server_options
from paddock.cli.output import printable, remark

MOST = 1000


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on with the lines to come, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    "tail",
    type=click.IntRange(1, MOST),
    default=100,
    show_default=True,
    help=f"How many of the last lines; the server keeps {MOST}.",
)
@server_options
def logs(name: str, follow: bool, tail: int, base_url: str | None, api_key: str | None) -> None:
    """Show what a deployment's engines wrote.

    The lines go to standard output, and between those of different replicas a remark to standard error.

    \b
    Examples:
      paddock logs foal
      paddock logs foal -f -n 10
    """
    api = DeploymentsApi(base_url, api_key)
    if not follow:
        _show(api.lines(name, tail))
        return
    with closing(api.follow_lines(name, tail)) as lines:
        _show(lines)
    remark("the log ended: the deployment is gone, or the server stops")


def _show(lines: Iterable[dict[str, Any]]) -> None:
    replica = None
    for line in lines:
        if replica not in (None, line["replica"]):
            remark(f"==> {line['replica']} <==")
        replica = line["replica"]
        click.echo(printable(str(line["text"])))
