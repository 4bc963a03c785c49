"""`paddock finetune DATA`: a file of rows in, a model out."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from paddock.cli.files_api import FilesApi
from paddock.cli.finetune_api import FineTunesApi
from paddock.cli.finetune_losses import Losses
from paddock.cli.finetune_options import find_data, read_hyperparameters
from paddock.cli.finetune_plot import check_plot, write_plot
from paddock.cli.finetune_watching import commands_to_try, ended, model_of, server_words, watch
from paddock.cli.options import given, server_options
from paddock.cli.output import printable, remark
from paddock.cli.waiting import patiently
from paddock.errors import PaddockError, StartupError

JSON = dict[str, Any]
PURPOSE = "fine-tune"
REQUEST = "paddock_request"
"""Metadata by which a fine-tune is found whose answer did not come."""
_NEWEST = 100


@click.command()
@click.argument("data")
@click.option("-b", "--base", metavar="MODEL", required=True, help="Model that learns.")
@click.option("--suffix", metavar="NAME", help="A part of the new model's name.")
@click.option("--validation", metavar="FILE", help="Rows to measure by, as DATA.  [default: a part of DATA]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyperparameter, such as epochs=3. Repeatable.  [default: chosen by the data]",
)
@click.option("--seed", type=click.IntRange(min=0), help="Same seed and same rows, same model.")
@click.option("-d", "--no-wait", is_flag=True, help="Write the fine-tune's id, and do not watch it.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw the losses into this .html or .png file at the end.",
)
@click.option("--force", is_flag=True, help="Replace the file of --plot if it is there.")
@server_options
def run(
    data: str,
    base: str,
    suffix: str | None,
    validation: str | None,
    settings: tuple[str, ...],
    seed: int | None,
    no_wait: bool,
    plot: Path | None,
    force: bool,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Teach a model with the rows of DATA, and write the new model's name.

    DATA is a .csv file with the columns `prompt` and `response`, or a .jsonl file with these two fields or
    with OpenAI's {"messages": […]} on each line; or the id of a file that the server has already.

    Ctrl-C ends the watching only: `paddock finetune show ID --follow` goes on with it.

    \b
    Examples:
      paddock finetune shop.csv --base paddock/foal --suffix shop
      paddock finetune shop.jsonl --base paddock/foal --set epochs=3 --set lora_targets=q_proj,v_proj
      paddock finetune file-0123456789abcdef01234567 --base paddock/foal --no-wait
    """
    if no_wait and plot is not None:
        raise click.UsageError("--plot draws what comes at the end; give it or --no-wait.")
    check_plot(plot, force)
    order = Order(
        data=_Source(data, find_data(data, "DATA")),
        validation=_Source(validation, find_data(validation, "--validation")) if validation else None,
        body=given(
            model=base, suffix=suffix, seed=seed, hyperparameters=read_hyperparameters(settings) or None
        ),
    )
    api = FineTunesApi(base_url, api_key)
    identity = printable(Sender(order, api, FilesApi(base_url, api_key)).send())
    at_server = server_words(base_url)
    if no_wait:
        click.echo(identity)
        remark(f"`paddock finetune show {identity} --follow{at_server}` tells how far it is")
        return
    remark(f"{identity} has begun; Ctrl-C leaves it to the server")
    job, losses = watch(identity, api, at_server)
    _finish(job, losses, plot, at_server)


@dataclass(frozen=True)
class _Source:
    """Rows. `path`: where they lie here; None where `text` is the id of a stored file."""

    text: str
    path: Path | None


@dataclass(frozen=True)
class Order:
    """What is wanted. `body`: the request, without the files' ids."""

    data: _Source
    validation: _Source | None
    body: JSON


class Sender:
    """Sends the files, and asks for the fine-tune once, however often a connection breaks."""

    def __init__(self, order: Order, api: FineTunesApi, files: FilesApi) -> None:
        self._order = order
        self._api = api
        self._files = files
        self._uploaded: list[str] = []
        self._request = secrets.token_hex(8)

    def send(self) -> str:
        """The id of the fine-tune.

        Raises:
            StartupError: a file cannot be read.
            PaddockError: the server refused it, or is away from the beginning; nothing is left there then.
        """
        order = self._order
        try:
            body = {**order.body, "training_file": self._stored(order.data)}
            if order.validation is not None:
                body["validation_file"] = self._stored(order.validation)
            remark("the server reads the rows")
            return self._create({**body, "metadata": {REQUEST: self._request}})
        except PaddockError:
            # These files were for nothing but this.
            for identity in self._uploaded:
                with suppress(PaddockError):
                    self._files.delete(identity)
            raise
        except KeyboardInterrupt:
            remark("left before the server answered; `paddock finetune ls` tells whether it has begun")
            raise

    def _stored(self, source: _Source) -> str:
        """The id of the file at the server."""
        path = source.path
        if path is None:
            return source.text
        try:
            with path.open("rb") as file:
                stored = self._files.upload(file, path.name, PURPOSE)
        except OSError as error:
            raise StartupError(f"cannot read {path}: {error.strerror or error}") from error
        self._uploaded.append(str(stored["id"]))
        return self._uploaded[-1]

    def _create(self, body: JSON) -> str:
        tried = False

        def create() -> str:
            nonlocal tried
            # A connection that broke does not tell whether the fine-tune was accepted.
            if tried:
                for job in islice(self._api.all(), _NEWEST):
                    if job["labels"].get(REQUEST) == self._request:
                        return str(job["id"])
            tried = True
            return self._api.create(body)

        return patiently(create, remark)


def _finish(job: JSON, losses: Losses, plot: Path | None, at_server: str) -> None:
    """Says what came of it, and draws it.

    Raises:
        PaddockError: no model came of it, or the picture cannot be written.
    """
    failure = ended(job)
    model = model_of(job)
    if failure is None:
        click.echo(model)
        for number, command in enumerate(commands_to_try(model, at_server)):
            remark(f"{'     or' if number else 'try it:'} {command}")
    if plot is not None and losses:
        write_plot(plot, job, losses)
        remark(f"the losses are drawn in {plot}")
    elif plot is not None:
        remark(f"{plot} is not written: nothing was measured")
    if failure is not None:
        raise failure
