"""`paddock batch ls`: the batches and how far they are."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import click

from paddock.cli.jobs_api import JobsApi
from paddock.cli.options import server_options
from paddock.cli.output import dump_json
from paddock.cli.tables import age, duration, table

JSON = dict[str, Any]
SHOWN = 20


@click.command()
@click.option("-a", "--all", "all_of_them", is_flag=True, help=f"Show more than the newest {SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="Write the batches as one JSON array.")
@server_options
def ls(all_of_them: bool, as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """List the batches, the newest first, whichever API they came by.

    DONE is how many prompts are answered, FAILED how many of them by an error.

    \b
    Examples:
      paddock batch ls
      paddock batch ls --all --json | jq -r '.[] | select(.state == "failed") | .reason'
    """
    jobs = JobsApi(base_url, api_key).all("batch")
    found = list(jobs if all_of_them else islice(jobs, SHOWN))
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    if not found:
        click.echo("there is no batch; begin with `paddock batch run`", err=True)
        return
    for line in lines(found, time.time()):
        click.echo(line)


def lines(jobs: list[JSON], now: float) -> list[str]:
    """The table."""
    return table(
        {
            "ID": [str(job["id"]) for job in jobs],
            "MODEL": [str(job["model"]) for job in jobs],
            "STATE": [state(job) for job in jobs],
            "DONE": [done(job) for job in jobs],
            "FAILED": [f"{job['failed']:,}" if job["failed"] else "" for job in jobs],
            "AGE": [age(job["created_at"], now) for job in jobs],
            "TOOK": [_took(job) for job in jobs],
            "REASON": [str(job["reason"]) for job in jobs],
        }
    )


def state(job: JSON) -> str:
    """`running (working)`, `running, to be cancelled`."""
    said = str(job["state"])
    if job["finished_at"] is None and job.get("cancel_requested_at") is not None:
        return f"{said}, to be cancelled"
    return f"{said} ({job['phase']})" if said == "running" and job["phase"] else said


def done(job: JSON) -> str:
    """`1,200 of 2,000`; empty while the number of rows is not known."""
    return f"{job['done']:,} of {job['total']:,}" if job["total"] else ""


def _took(job: JSON) -> str:
    began, ended = job["started_at"], job["finished_at"]
    return duration(ended - began) if began is not None and ended is not None else ""
