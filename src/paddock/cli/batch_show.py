"""`paddock batch show`: all that is known of one batch."""

from __future__ import annotations

from typing import Any

import click

from paddock.cli.batch_ls import done, state
from paddock.cli.jobs_api import JobsApi
from paddock.cli.options import server_options
from paddock.cli.output import dump_json, printable
from paddock.cli.tables import age, moment, table

JSON = dict[str, Any]
EVENTS = 20
ERRORS = 20
_DIALECTS = {"openai": "OpenAI", "llm_engine.v1": "LLM Engine v1", "llm_engine.v2": "LLM Engine v2"}


@click.command()
@click.argument("identity", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object: the batch and its `events`.")
@server_options
def show(identity: str, as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """Show all that is known of a batch.

    That is what was asked for, how far it is and why, what is wrong with its input, where its answers are,
    and its last events.

    \b
    Examples:
      paddock batch show batch_0123456789abcdef01234567
      paddock batch show ID --json | jq -r .results.output_file_id
    """
    api = JobsApi(base_url, api_key)
    job = api.get(identity)
    events = api.events(job["id"], EVENTS)
    if as_json:
        click.echo(dump_json({**job, "events": events}, indent=2))
        return
    for part in (_facts(job), _errors(job["errors"]), _events(events)):
        for line in part:
            click.echo(printable(line))


def _facts(job: JSON) -> list[str]:
    facts = {
        "state": state(job),
        "reason": job["reason"],
        "now": job["message"],
        "model": job["model"],
        "done": done(job),
        "failed": f"{job['failed']:,}" if job["failed"] else "",
        "came by": _DIALECTS.get(job["dialect"], job["dialect"]),
        "input": job.get("input"),
        "output": job.get("output"),
        **{name.replace("_", " ").removesuffix(" id"): text for name, text in job["results"].items()},
        "priority": job["priority"],
        "labels": ", ".join(f"{name}={value}" for name, value in job["labels"].items()),
        "created": _ago(job["created_at"]),
        "started": _ago(job["started_at"]),
        "finished": _ago(job["finished_at"]),
        "given up": moment(job["deadline_at"]) if job["finished_at"] is None else "",
        "attempts": job["attempts"] if job["attempts"] > 1 else "",
        "worker": job["worker"] if job["finished_at"] is None else "",
    }
    width = max(len(name) for name in facts)
    shown = [f"  {name.ljust(width)}  {' '.join(str(text).split())}" for name, text in facts.items() if text]
    return [str(job["id"]), *shown]


def _errors(errors: list[JSON]) -> list[str]:
    if not errors:
        return []
    columns = {
        "LINE": [str(one.get("line") or "") for one in errors[:ERRORS]],
        "ERROR": [str(one["code"]) for one in errors[:ERRORS]],
        "FIELD": [str(one.get("param") or "") for one in errors[:ERRORS]],
        "MESSAGE": [str(one["message"]) for one in errors[:ERRORS]],
    }
    more = [f"and {len(errors) - ERRORS} more"] if len(errors) > ERRORS else []
    return ["", *table(columns), *more]


def _events(events: list[JSON]) -> list[str]:
    if not events:
        return []
    columns = {
        "EVENT": [moment(one["at"]) for one in events],
        "WHAT": [str(one["kind"]) for one in events],
        "MESSAGE": [str(one["message"]) for one in events],
    }
    return ["", *table(columns)]


def _ago(at: float | None) -> str:
    return f"{moment(at)} ({age(at)} ago)" if at is not None else ""
