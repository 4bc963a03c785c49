"""`paddock hardware`: what replicas can be placed on."""

from __future__ import annotations

from typing import Any

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.options import server_options
from paddock.cli.output import dump_json
from paddock.cli.tables import age, size, table

JSON = dict[str, Any]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write types, nodes and what is held as a JSON object.")
@server_options
def hardware(as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """List what replicas can be placed on.

    The hardware types with their prices, the machines, and what replicas hold of them. A type is FREE if
    a replica with a small model would find room now.

    \b
    Examples:
      paddock hardware
      paddock hardware --json | jq -r '.types[] | select(.available) | .id'
    """
    found = DeploymentsApi(base_url, api_key).hardware()
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    parts = [_types(found["types"], found["currency"]), _nodes(found["nodes"]), _held(found["held"])]
    click.echo("\n\n".join("\n".join(part) for part in parts if part))


def _types(types: list[JSON], currency: str) -> list[str]:
    return table(
        {
            "TYPE": [one["id"] for one in types],
            "CORES": [str(one["cores"]) for one in types],
            "MEMORY": [size(one["memory"]) for one in types],
            "GPU": [f"{one['gpus']} × {one['gpu']}" if one["gpus"] else "" for one in types],
            "GPU MEMORY": [size(one["gpu_memory"]) if one["gpu_memory"] else "" for one in types],
            f"{currency}/HOUR": [f"{one['price_per_hour']:g}" for one in types],
            "FREE": ["yes" if one["available"] else "no" for one in types],
        }
    )


def _nodes(nodes: list[JSON]) -> list[str]:
    if not nodes:
        return []
    return table(
        {
            "NODE": [one["name"] for one in nodes],
            "CORES": [str(one["cores"]) for one in nodes],
            "CORES HELD": [f"{one['held']['cores']} of {one['promised']['cores']}" for one in nodes],
            "MEMORY HELD": [
                f"{size(one['held']['memory'])} of {size(one['promised']['memory'])}" for one in nodes
            ],
            "GPUS HELD": [
                f"{len(one['held']['gpus'])} of {len(one['gpus'])}" if one["gpus"] else "" for one in nodes
            ],
        }
    )


def _held(held: list[JSON]) -> list[str]:
    if not held:
        return []
    return table(
        {
            "DEPLOYMENT": [one["deployment"] for one in held],
            "REPLICA": [one["replica"] for one in held],
            "TYPE": [one["hardware_type"] for one in held],
            "NODE": [one["node"] for one in held],
            "MEMORY": [size(one["memory"]) for one in held],
            "GPUS": [", ".join(map(str, one["gpus"])) for one in held],
            "SINCE": [f"{age(one['since'])} ago" for one in held],
        }
    )
