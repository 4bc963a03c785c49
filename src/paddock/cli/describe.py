"""`paddock describe`: all that is known of one deployment."""

from __future__ import annotations

from typing import Any

import click

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.options import server_options
from paddock.cli.output import dump_json, printable
from paddock.cli.ps import status, workers
from paddock.cli.tables import age, duration, moment, size, table

JSON = dict[str, Any]
EVENTS = 10
LINES = 10


@click.command()
@click.argument("name")
@click.option(
    "--json", "as_json", is_flag=True, help="Write a JSON object: the deployment, its `events` and `lines`."
)
@server_options
def describe(name: str, as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """Show all that is known of a deployment.

    That is what is wished, how it is and why, its replicas, its last events, and the end of its log.

    \b
    Examples:
      paddock describe foal
      paddock describe foal --json | jq -r .reason
    """
    api = DeploymentsApi(base_url, api_key)
    deployment = api.get(name)
    events, lines = api.events(deployment["id"], EVENTS), api.lines(deployment["id"], LINES)
    if as_json:
        click.echo(dump_json({**deployment, "events": events, "lines": lines}, indent=2))
        return
    for part in (_facts(deployment), _replicas(deployment), _events(events), _log(deployment, lines)):
        for line in part:
            click.echo(printable(line))


def _facts(deployment: JSON) -> list[str]:
    # What says nothing but "as it comes" is left out.
    options = {name: value for name, value in deployment["options"].items() if value and value != "auto"}
    facts = {
        "status": status(deployment),
        "reason": deployment["reason"],
        "model": deployment["model"],
        "engine": deployment["engine"],
        "hardware": deployment["hardware_type"],
        "context": f"{deployment['context_length']} tokens",
        "workers": f"{workers(deployment)}, for {deployment['per_worker']} requests at once each",
        "sleeps": _sleeps(deployment),
        "options": ", ".join(f"{name} {value}" for name, value in options.items()),
        "labels": ", ".join(f"{name}={value}" for name, value in deployment["labels"].items()),
        "generation": str(deployment["generation"]),
        "created": _ago(deployment["created_at"]),
        "updated": _ago(deployment["updated_at"]),
        "started": _ago(deployment["started_at"]),
        "stopped": _ago(deployment["stopped_at"]),
        "id": deployment["id"],
    }
    width = max(len(name) for name in facts)
    shown = [f"  {name.ljust(width)}  {' '.join(str(text).split())}" for name, text in facts.items() if text]
    return [str(deployment["name"]), *shown]


def _sleeps(deployment: JSON) -> str:
    if deployment["min_workers"]:
        return "never"
    return f"after {duration(deployment['idle_timeout'])} without a request"


def _replicas(deployment: JSON) -> list[str]:
    replicas = deployment["replicas"]
    if not replicas:
        return []
    columns = {
        "REPLICA": [one["id"] for one in replicas],
        "STATE": [one["state"] for one in replicas],
        "STEP": [f"{one['step']}/5" for one in replicas],
        "GENERATION": [str(one["generation"]) for one in replicas],
        "NODE": [one["node"] for one in replicas],
        "AGE": [age(one["created_at"]) for one in replicas],
        "NOW": [_now(one) for one in replicas],
    }
    return ["", *table(columns)]


def _now(replica: JSON) -> str:
    said = str(replica["reason"] or replica["description"])
    return f"{said} ({size(replica['done'])} of {size(replica['total'])})" if replica["step"] == 3 else said


def _events(events: list[JSON]) -> list[str]:
    if not events:
        return []
    columns = {
        "EVENT": [moment(one["at"]) for one in events],
        "WHAT": [one["kind"] for one in events],
        "REPLICA": [one["replica"] for one in events],
        "MESSAGE": [one["message"] for one in events],
    }
    return ["", *table(columns)]


def _log(deployment: JSON, lines: list[JSON]) -> list[str]:
    """What the engine wrote before it failed, else what it wrote last."""
    texts = deployment["log"] or [line["text"] for line in lines]
    return ["", "LOG", *(str(text) for text in texts)] if texts else []


def _ago(at: float | None) -> str:
    return f"{moment(at)} ({age(at)} ago)" if at is not None else ""
