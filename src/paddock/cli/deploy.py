"""`paddock deploy`: have a model served by replicas of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.options import given, server_options
from paddock.cli.output import dump_json, printable
from paddock.cli.start_progress import failure, wait_until_started


@click.command()
@click.argument("model")
@click.option("--name", help="What requests call it.  [default: the model's name]")
@click.option("--min", "min_workers", type=click.IntRange(min=0), help="Fewest replicas; 0 lets it sleep.")
@click.option("--max", "max_workers", type=click.IntRange(min=0), help="Most replicas.  [default: --min]")
@click.option("--per-worker", type=click.IntRange(min=1), help="Requests at once meant for one replica.")
@click.option(
    "--hardware",
    "hardware_type",
    metavar="TYPE",
    help="What to place replicas on: see `paddock hardware`.",
)
@click.option("--context-length", type=click.IntRange(min=1), help="Tokens of prompt and answer together.")
@click.option(
    "--idle-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time without a request after which it may fall asleep, with --min 0.",
)
@click.option(
    "--quantize", type=click.Choice(["F16", "BF16", "Q8_0"]), help="Type of the weights once they are loaded."
)
@click.option("--engine", help="Engine that runs it.  [default: the server's choice]")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until it is ready.")
@click.option("--json", "as_json", is_flag=True, help="Write the deployment as one JSON object.")
@server_options
def deploy(
    model: str, detach: bool, as_json: bool, base_url: str | None, api_key: str | None, **options: Any
) -> None:
    """Have a server serve MODEL, and wait until it does.

    The server starts, watches and replaces the replicas. MODEL is one that the server knows
    (`paddock/foal`), a hub id such as `org/name`, or a path on the server's machine if it allows paths.
    Ctrl-C stops the waiting, not the deployment.

    \b
    Examples:
      paddock deploy foal --name my-foal
      paddock deploy Qwen/Qwen3-0.6B --min 0 --max 2 --hardware CPU_4
      paddock deploy ./tiny.Q8_0.gguf --detach --json | jq -r .id
    """
    api = DeploymentsApi(base_url, api_key)
    deployment = api.create(given(model=_absolute(model), **options))
    if not detach:
        deployment = wait_until_started(api, deployment, quiet=as_json)
    if as_json:
        click.echo(dump_json(deployment))
    name, status = printable(deployment["name"]), deployment["status"]
    if status == "failed":
        raise failure(deployment)
    if as_json:
        return
    if detach:
        click.echo(f"{name} is {status}; `paddock describe {name}` tells how far it is")
        return
    click.echo(f"{name} is {status}{': a request wakes it' if status == 'asleep' else ''}. Try it:")
    for line in how_to_try(api.url, name):
        click.echo(f"  {line}")


def how_to_try(url: str, name: str) -> list[str]:
    """Commands for a terminal."""
    body = dump_json({"model": name, "messages": [{"role": "user", "content": "What does a horse eat?"}]})
    return [
        f"paddock chat {name}",
        f"curl {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'",
    ]


def _absolute(model: str) -> str:
    """A path that is meant from here as the server can find it; anything else as it is."""
    path = Path(model)
    here = model.startswith(("./", "../", "~/")) or model in (".", "..")
    if here or (path.suffix == ".gguf" and path.is_file()):
        return str(path.expanduser().resolve())
    return model
