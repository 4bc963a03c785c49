"""`paddock finetune show`: all that is known of one fine-tune."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import click

from paddock.cli.batch_ls import done, state
from paddock.cli.finetune_api import FineTunesApi
from paddock.cli.finetune_curve import MARK, draw
from paddock.cli.finetune_losses import EVALUATED, STEP, Losses
from paddock.cli.finetune_ls import took
from paddock.cli.finetune_plot import check_plot, write_plot
from paddock.cli.finetune_run import REQUEST
from paddock.cli.finetune_watching import commands_to_try, model_of, server_words, watch
from paddock.cli.options import server_options
from paddock.cli.output import dump_json, printable, remark
from paddock.cli.tables import age, moment, table
from paddock.errors import PaddockError

JSON = dict[str, Any]
EVENTS = 20
WIDEST = 90
_LEARNS = "learns by"
_TOLD_OTHERWISE = (STEP, EVALUATED, "checkpoint")
_DIALECTS = {"openai": "OpenAI", "llm_engine.v1": "LLM Engine v1", "llm_engine.v2": "LLM Engine v2"}


@click.command()
@click.argument("identity", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Watch it until it is over.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Write a JSON object: the fine-tune, its `hyperparameters` and its `events`.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw the losses into this .html or .png file.",
)
@click.option("--force", is_flag=True, help="Replace the file of --plot if it is there.")
@server_options
def show(
    identity: str,
    follow: bool,
    as_json: bool,
    plot: Path | None,
    force: bool,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Show all that is known of a fine-tune.

    That is how far it is and why, how it learns, its losses, what came of it, and its last events. With
    --follow the exit code is 1 if no model comes of it.

    \b
    Examples:
      paddock finetune show ft_0123456789abcdef01234567 --follow
      paddock finetune show ID --plot losses.html
      paddock finetune show ID --json | jq -r .results.fine_tuned_model
    """
    check_plot(plot, force)
    api, at_server = FineTunesApi(base_url, api_key), server_words(base_url)
    job = api.get(identity)
    watches = follow and job["finished_at"] is None
    if watches:
        job, _ = watch(printable(str(job["id"])), api, at_server)
    events = api.events(str(job["id"]))
    hyperparameters = api.hyperparameters(str(job["id"]))
    losses = Losses()
    losses.take(events)
    if as_json:
        click.echo(dump_json({**job, "hyperparameters": hyperparameters, "events": events}, indent=2))
    else:
        # The last picture of a terminal stands there still.
        is_drawn = watches and sys.stderr.isatty()
        _tell(job, hyperparameters, events, Losses() if is_drawn else losses, at_server)
    if plot is not None:
        if not losses:
            raise PaddockError(f"{plot} is not written: nothing of {job['id']} is measured yet")
        write_plot(plot, job, losses)
        remark(f"the losses are drawn in {plot}")
    if follow and job["state"] != "completed":
        click.get_current_context().exit(1)


def _tell(job: JSON, hyperparameters: JSON, events: list[JSON], losses: Losses, at_server: str) -> None:
    for line in _facts(job, hyperparameters, at_server):
        click.echo(printable(line))
    width = min(WIDEST, shutil.get_terminal_size().columns - 1)
    curve = draw(losses, losses.furthest if job["finished_at"] is not None else job["total"], width)
    for line in ["", *curve] if curve else []:
        shown = line.replace(MARK, click.style(MARK, "yellow", bold=True)) if sys.stdout.isatty() else line
        click.echo(shown)
    for line in _events(events):
        click.echo(printable(line))


def _facts(job: JSON, hyperparameters: JSON, at_server: str) -> list[str]:
    model, is_over = model_of(job), job["finished_at"] is not None
    facts = {
        "state": state(job),
        "reason": job["reason"],
        "now": "" if is_over else job["message"],
        "base": job["model"],
        "model": model,
        "try it": commands_to_try(model, at_server)[0] if model else "",
        "steps": done(job),
        "took": took(job),
        "trained tokens": f"{int(job['results'].get('trained_tokens') or 0):,}".removeprefix("0"),
        _LEARNS: ", ".join(f"{name}={_value(value)}" for name, value in hyperparameters.items()),
        "came by": _DIALECTS.get(job["dialect"], job["dialect"]),
        "input": job["input"],
        "labels": ", ".join(f"{name}={value}" for name, value in job["labels"].items() if name != REQUEST),
        "created": _ago(job["created_at"]),
        "started": _ago(job["started_at"]),
        "finished": _ago(job["finished_at"]),
        "given up": "" if is_over else moment(job["deadline_at"]),
        "attempts": job["attempts"] if job["attempts"] > 1 else "",
        "worker": "" if is_over else job["worker"],
    }
    width = max(len(name) for name in facts)
    shown = [str(job["id"])]
    for name, text in facts.items():
        if text:
            lines = _lines(name, " ".join(str(text).split()))
            shown.append(f"  {name.ljust(width)}  {lines[0]}")
            shown += [f"  {' ' * width}  {line}" for line in lines[1:]]
    return shown


def _lines(name: str, text: str) -> list[str]:
    """Hyperparameters are too many for one."""
    return textwrap.wrap(text, WIDEST, break_on_hyphens=False) if name == _LEARNS else [text]


def _value(value: Any) -> str:
    """As `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _events(events: list[JSON]) -> list[str]:
    """The last ones; not how far it is, which others of them repeat over and over."""
    told = [one for one in events if one["kind"] not in _TOLD_OTHERWISE][-EVENTS:]
    if not told:
        return []
    columns = {
        "EVENT": [moment(one["at"]) for one in told],
        "WHAT": [str(one["kind"]) for one in told],
        "MESSAGE": [str(one["message"]) for one in told],
    }
    return ["", *table(columns)]


def _ago(at: float | None) -> str:
    return f"{moment(at)} ({age(at)} ago)" if at is not None else ""
