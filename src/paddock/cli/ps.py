"""`paddock ps`: the deployments and how they are."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.options import server_options
from paddock.cli.output import dump_json
from paddock.cli.start_progress import STEPS, furthest
from paddock.cli.tables import age, money, table

JSON = dict[str, Any]
WATCH_SECONDS = 1.0


@click.command()
@click.option("-a", "--all", "all_of_them", is_flag=True, help="Show stopped deployments too.")
@click.option("--json", "as_json", is_flag=True, help="Write the deployments as one JSON array.")
@click.option("-w", "--watch", is_flag=True, help="Show the table anew each second, until Ctrl-C.")
@server_options
def ps(all_of_them: bool, as_json: bool, watch: bool, base_url: str | None, api_key: str | None) -> None:
    """List the deployments.

    READY is how many replicas answer, WORKERS how many there may be. A deployment that starts shows its step
    of five. COST is what the hardware of its replicas cost so far, where hardware has a price.

    \b
    Examples:
      paddock ps
      paddock ps --watch
      paddock ps --all --json | jq -r '.[] | select(.status == "failed") | .name'
    """
    if watch and (as_json or not sys.stdout.isatty()):
        raise click.UsageError("--watch is for a terminal, and not for --json.", click.get_current_context())
    api = DeploymentsApi(base_url, api_key)
    if watch:
        _watch(api, all_of_them)
        return
    found = _shown(api, all_of_them)
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    if not found:
        click.echo("nothing is deployed; begin with `paddock deploy foal`", err=True)
        return
    for line in lines(found, time.time()):
        click.echo(line)


def lines(deployments: list[JSON], now: float) -> list[str]:
    """The table."""
    return table(
        {
            "NAME": [str(one["name"]) for one in deployments],
            "MODEL": [str(one["model"]) for one in deployments],
            "STATUS": [status(one) for one in deployments],
            "READY": [str(sum(each["state"] == "ready" for each in one["replicas"])) for one in deployments],
            "WORKERS": [workers(one) for one in deployments],
            "HARDWARE": [str(one["hardware_type"]) for one in deployments],
            "COST": costs(deployments),
            "AGE": [age(one["created_at"], now) for one in deployments],
            "REASON": [str(one["reason"]) for one in deployments],
        }
    )


def status(deployment: JSON) -> str:
    """`ready`, `starting 3/5`, `failed, serving`: the last while an older generation still answers."""
    said = str(deployment["status"])
    replica = furthest(deployment)
    if said == "starting" and replica is not None:
        said += f" {replica['step']}/{len(STEPS)}"
    return f"{said}, serving" if deployment["serving"] and deployment["status"] != "ready" else said


def costs(deployments: list[JSON]) -> list[str]:
    """`1.24 EUR`; nothing if nothing costs anything, as where the hardware has no prices."""
    found = [one.get("cost") for one in deployments]
    if not any(cost and cost["amount"] for cost in found):
        return [""] * len(found)
    return [f"{money(cost['amount'])} {cost['currency']}" if cost else "?" for cost in found]


def workers(deployment: JSON) -> str:
    least, most = deployment["min_workers"], deployment["max_workers"]
    return str(least) if least == most else f"{least}-{most}"


def _shown(api: DeploymentsApi, all_of_them: bool) -> list[JSON]:
    return [one for one in api.all() if all_of_them or one["status"] != "stopped" or one["replicas"]]


def _watch(api: DeploymentsApi, all_of_them: bool) -> None:
    # rich takes a tenth of a second to import, which only who watches should pay.
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            found = lines(_shown(api, all_of_them), time.time())
            width = shutil.get_terminal_size().columns
            shown = "\n".join(line[:width] for line in found) or "nothing is deployed"
            live.update(Text(shown, no_wrap=True), refresh=True)
            time.sleep(WATCH_SECONDS)
