"""`paddock models`: what a server serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from paddock.cli.options import server_options
from paddock.cli.output import dump_json
from paddock.cli.server import Server
from paddock.cli.tables import table

_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "MODEL": lambda model: str(model["id"]),
    "CONTEXT": lambda model: str(model.get("context_length") or ""),
    "ENGINE": lambda model: str(model.get("engine") or ""),
    "STATE": lambda model: ("ready" if model["ready"] else "not ready") if "ready" in model else "",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write the server's list as one JSON array.")
@server_options
def models(as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """List the models that a server serves.

    CONTEXT is how many tokens a conversation may have. MODEL is the name to give to `paddock chat` and to
    send as `model` in requests.

    \b
    Examples:
      paddock models
      paddock models --json | jq -r '.[].id'
    """
    served = Server(base_url, api_key).models()
    if as_json:
        click.echo(dump_json(served, indent=2))
        return
    if not served:
        click.echo("no models are served", err=True)
        return
    for line in table({heading: [cell(model) for model in served] for heading, cell in _COLUMNS.items()}):
        click.echo(line)
