"""`paddock finetune ls`: the fine-tunes and how far they are."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import click

from paddock.cli.batch_ls import SHOWN, done, state
from paddock.cli.finetune_api import FineTunesApi
from paddock.cli.finetune_watching import model_of
from paddock.cli.options import server_options
from paddock.cli.output import dump_json
from paddock.cli.tables import age, duration, table

JSON = dict[str, Any]


@click.command()
@click.option("-a", "--all", "all_of_them", is_flag=True, help=f"Show more than the newest {SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="Write the fine-tunes as one JSON array.")
@server_options
def ls(all_of_them: bool, as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """List the fine-tunes, the newest first, whichever API they came by.

    STEPS is how many are taken, MODEL the name of what came of it.

    \b
    Examples:
      paddock finetune ls
      paddock finetune ls --json | jq -r '.[].results.fine_tuned_model'
    """
    jobs = FineTunesApi(base_url, api_key).all()
    found = list(jobs if all_of_them else islice(jobs, SHOWN))
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    if not found:
        click.echo("there is no fine-tune; begin with `paddock finetune DATA --base MODEL`", err=True)
        return
    now = time.time()
    columns = {
        "ID": [str(job["id"]) for job in found],
        "BASE": [str(job["model"]) for job in found],
        "STATE": [state(job) for job in found],
        "STEPS": [done(job) for job in found],
        "AGE": [age(job["created_at"], now) for job in found],
        "TOOK": [took(job) for job in found],
        "MODEL": [model_of(job) for job in found],
        "REASON": [str(job["reason"]) for job in found],
    }
    for line in table(columns):
        click.echo(line)


def took(job: JSON) -> str:
    """`90 s`; empty before it is over."""
    began, finished = job["started_at"], job["finished_at"]
    return duration(finished - began) if began is not None and finished is not None else ""
