"""`paddock complete`: continue a text."""

from __future__ import annotations

import sys

import click

from paddock.cli.options import given, sampling_options, server_options
from paddock.cli.output import dump_json, remark, write
from paddock.cli.server import Server


@click.command()
@click.argument("prompt", required=False)
@click.option("-m", "--model", help="Model to use.  [default: the server's first]")
@click.option(
    "-n",
    "--max-tokens",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Most tokens to write.",
)
@sampling_options
@click.option("--stop", multiple=True, metavar="TEXT", help="Stop before this text. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object: text, usage, timings.")
@server_options
def complete(
    prompt: str | None,
    model: str | None,
    max_tokens: int,
    temperature: float | None,
    seed: int | None,
    stop: tuple[str, ...],
    as_json: bool,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Continue PROMPT, as plain text without a conversation around it.

    Without PROMPT, or with `-`, it is read from standard input. The continuation goes to standard output;
    the number of tokens and their speed to standard error.

    \b
    Examples:
      paddock complete "The capital of France is"
      paddock complete --stop . -n 20 "A horse eats"
      paddock complete --json - < story.txt | jq -r .text
    """
    if prompt is None and sys.stdin.isatty():
        raise click.UsageError("Give a PROMPT, or pipe one in.", click.get_current_context())
    text = sys.stdin.read() if prompt in (None, "-") else prompt
    server = Server(base_url, api_key)
    options = given(max_tokens=max_tokens, temperature=temperature, seed=seed, stop=list(stop) or None)
    show = (lambda text, dim: None) if as_json else write
    answer = server.complete(model or server.default_model(), text or "", options, show)
    if as_json:
        click.echo(dump_json(answer.to_json()))
    else:
        click.echo()
        remark(answer.summary())
    if answer.stopped:
        raise click.Abort
