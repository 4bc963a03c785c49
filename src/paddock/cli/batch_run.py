"""`paddock batch run`: a file of prompts in, a file of answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paddock.cli import batch_state
from paddock.cli.batch_answers import FORMATS as OUTPUTS
from paddock.cli.batch_api import BatchesApi
from paddock.cli.batch_collecting import collect, spool, wait_until_ended
from paddock.cli.batch_lines import Asking, Sent, write_lines
from paddock.cli.batch_progress import display
from paddock.cli.batch_rows import FORMATS as INPUTS
from paddock.cli.batch_rows import WrongInput, read_rows
from paddock.cli.batch_sending import Order, Sender
from paddock.cli.files_api import FilesApi
from paddock.cli.options import given, sampling_options, server_options
from paddock.cli.output import printable, remark
from paddock.errors import PaddockError, StartupError

JSON = dict[str, Any]
ERRORS = 20
_PATH = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("prompts", type=_PATH)
@click.option("-m", "--model", help="Model to ask.")
@click.option("-o", "--out", type=_PATH, required=True, help="Where the answers go: a .jsonl or .csv file.")
@click.option(
    "--endpoint",
    type=click.Choice(["chat", "completions"]),
    default="chat",
    show_default=True,
    help="Whether a prompt is a message to answer or a text to continue.",
)
@click.option("--system", metavar="TEXT", help="What to tell the model before each prompt.")
@click.option("-n", "--max-tokens", type=click.IntRange(min=1), help="Most tokens of one answer.")
@sampling_options
@click.option("--top-p", type=click.FloatRange(0, 1), help="Choose among the words that make up this much.")
@click.option("--stop", multiple=True, metavar="TEXT", help="Stop before this text. Repeatable.")
@click.option(
    "--prompt-column",
    default="prompt",
    show_default=True,
    help="Column, or field, that has the prompts.",
)
@click.option("--window", default="24h", show_default=True, help="Time within which it must be done.")
@click.option("-d", "--detach", is_flag=True, help="Do not wait for the answers.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there.")
@click.option("--restart", is_flag=True, help="Cancel the batch that makes OUT, and send the prompts anew.")
@server_options
def run(
    prompts: Path,
    model: str | None,
    out: Path,
    endpoint: Any,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    top_p: float | None,
    stop: tuple[str, ...],
    prompt_column: str,
    window: str,
    detach: bool,
    overwrite: bool,
    restart: bool,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Have every prompt of a file answered, and write the answers in the same order.

    PROMPTS is a .csv file with a column `prompt`, a .txt file with a prompt on each line, or a .jsonl file
    with {"prompt": …}, {"messages": […]}, a string, or a line of an OpenAI batch on each. All that its rows
    have stands in OUT again, beside `response` and `error`: a prompt that fails does not end the batch.

    Ctrl-C leaves the batch to the server. The same command goes on with it, or fetches its answers.

    \b
    Examples:
      paddock batch run prompts.csv --model foal --out answers.csv
      paddock batch run questions.txt -m foal -o answers.jsonl --system "Answer in one word." -n 8
    """
    options = given(
        max_tokens=max_tokens, temperature=temperature, seed=seed, top_p=top_p, stop=list(stop) or None
    )
    asking = Asking(model, endpoint, system, options)
    if endpoint == "completions" and system is not None:
        raise click.UsageError("--system is for --endpoint chat.", click.get_current_context())
    order = Order(prompts, out, asking, prompt_column, window, overwrite, restart)
    _check_paths(order)
    batches, files = BatchesApi(base_url, api_key), FilesApi(base_url, api_key)
    with spool(out) as lines:
        sent = _write(order, lines)
        try:
            batch = Sender(order, sent, lines, batches, files).find_or_send()
        except KeyboardInterrupt:
            remark("left before the server had the batch; the same command goes on from there")
            raise
    begun = f"{printable(str(batch['id']))} has {sent.rows:,} prompt{'' if sent.rows == 1 else 's'}"
    if detach:
        click.echo(f"{begun}; the same command without --detach writes {out}")
        return
    remark(f"{begun}; Ctrl-C leaves it to the server")
    _finish(order, sent, batch, batches, files)


def _check_paths(order: Order) -> None:
    """
    Raises:
        StartupError: the files cannot be what they should; nothing was sent yet.
    """
    for path, what, known in ((order.source, "prompts", INPUTS), (order.out, "answers", OUTPUTS)):
        if path.suffix.lower() not in known:
            raise StartupError(f"{path}: a file of {what} must end in {' or '.join(known)}")
    try:
        if order.out.exists() and order.source.exists() and order.out.samefile(order.source):
            raise StartupError(f"{order.out} is the file of prompts: choose another --out")
        if order.out.exists() and not order.overwrite:
            raise StartupError(f"{order.out} is there already: choose another --out, or use --overwrite")
    except OSError as error:
        raise StartupError(f"cannot look at {order.out}: {error.strerror or error}") from error


def _write(order: Order, lines: Any) -> Sent:
    asking = order.asking
    try:
        sent = write_lines(read_rows(order.source, order.column), asking, lines)
    except WrongInput as error:
        raise StartupError(f"{order.source}: {error}") from None
    except OSError as error:
        raise StartupError(f"cannot write in {order.out.parent}: {error.strerror or error}") from error
    if sent.lines_given and (asking.options or asking.system is not None or asking.model is not None):
        raise StartupError(
            f"{order.source} has lines of an OpenAI batch, which say themselves how they are asked:"
            " leave out --model, --system and the options of sampling"
        )
    return sent


def _finish(order: Order, sent: Sent, batch: JSON, batches: BatchesApi, files: FilesApi) -> None:
    """Waits for the batch, and writes what came of it."""
    identity = printable(str(batch["id"]))
    try:
        with display() as shown:
            batch = wait_until_ended(batch, sent.rows, batches, shown)
            written = collect(order, sent, batch, files, shown)
    except KeyboardInterrupt:
        remark(
            f"{identity} goes on without you: the same command picks it up again,"
            f" `paddock batch show {identity}` tells how far it is, `paddock batch cancel {identity}` ends it"
        )
        raise
    batch_state.forget(order.out)
    if written is not None:
        failed = f", {written.failed:,} failed" if written.failed else ""
        click.echo(f"{order.out}: {written.rows - written.failed:,} answered{failed}")
    if batch["status"] != "completed":
        raise _end(batch)
    if written is not None and written.failed == written.rows:
        click.get_current_context().exit(1)


def _end(batch: JSON) -> PaddockError:
    """Shows what is wrong with the input. Returns what to raise."""
    errors = (batch.get("errors") or {}).get("data") or []
    for one in errors[:ERRORS]:
        where = f"row {one['line']}: " if one.get("line") else ""
        remark(f"{where}{one.get('message')}")
    if len(errors) > ERRORS:
        remark(f"and {len(errors) - ERRORS} more")
    ended = {"failed": "failed", "expired": "was not done within its time", "cancelled": "was cancelled"}
    said = ended.get(batch["status"], f"ended as {batch['status']}")
    return PaddockError(f"{batch['id']} {said}; the same command begins anew")
