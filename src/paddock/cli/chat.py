"""`paddock chat`: a conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from paddock.cli.conversation import Conversation
from paddock.cli.options import given, sampling_options, server_options
from paddock.cli.output import dump_json, printable, remark, write
from paddock.cli.prompt import ask, keep_history
from paddock.cli.server import Answer, Server
from paddock.errors import PaddockError

COMMANDS = """\
/reset          forget the conversation
/system TEXT    tell the model what to be from now on; without TEXT, show what it was told
/exit           leave, as Ctrl-D does
A line that ends in \\ goes on in the next one. Ctrl-C stops an answer."""


@click.command()
@click.argument("model", required=False)
@click.option("--system", metavar="TEXT", help="What to tell the model before the conversation.")
@sampling_options
@click.option("-n", "--max-tokens", type=click.IntRange(min=1), help="Most tokens of one answer.")
@click.option(
    "--json", "as_json", is_flag=True, help="Write a JSON object for each answer: text, usage, timings."
)
@server_options
def chat(
    model: str | None,
    system: str | None,
    temperature: float | None,
    seed: int | None,
    max_tokens: int | None,
    as_json: bool,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Talk to MODEL, by default the server's first.

    Each answer is followed by its number of tokens, their speed and the time until the first one. The
    conversation is kept until /reset; /help shows all commands. When input is piped in, each line is a
    message, and the answers alone go to standard output.

    \b
    Examples:
      paddock chat
      paddock chat foal --system "Answer in one sentence." --temperature 0
      echo "What does a horse eat?" | paddock chat
      paddock chat --json < questions.txt | jq -r .text
    """
    server = Server(base_url, api_key)
    options = given(temperature=temperature, seed=seed, max_tokens=max_tokens)
    conversation = Conversation(server, model or server.default_model(), options, system)
    if sys.stdin.isatty():
        _interact(conversation, as_json)
    else:
        _answer_lines(conversation, sys.stdin, as_json)


def _answer_lines(conversation: Conversation, lines: Iterable[str], as_json: bool) -> None:
    for line in lines:
        message = line.strip()
        if message and _answer(conversation, message, as_json).stopped:
            raise click.Abort


def _interact(conversation: Conversation, as_json: bool) -> None:
    server = conversation.server
    remark(f"{conversation.model} at {server.url} · /help for commands, Ctrl-D to leave")
    with keep_history(server.data_dir / "chat_history"):
        interrupted = False
        while True:
            try:
                message = ask()
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                click.echo(err=True)
                remark("Ctrl-D or Ctrl-C again leaves")
                continue
            interrupted = False
            if message is None:
                return
            if not message.strip():
                continue
            command, _, rest = message.strip().partition(" ")
            # A path such as /etc/hosts begins a message, not a command.
            if command[:1] == "/" and "/" not in command[1:]:
                if not _obey(conversation, command, rest.strip()):
                    return
                continue
            try:
                _answer(conversation, message, as_json)
            except PaddockError as error:
                click.echo(f"paddock: {printable(error.message)}", err=True)


def _obey(conversation: Conversation, command: str, rest: str) -> bool:
    """Do what a slash command says; False to leave."""
    match command:
        case "/exit" | "/quit" | "/bye":
            return False
        case "/reset":
            conversation.reset()
            remark("forgotten")
        case "/system" if rest:
            conversation.system = rest
            remark("from the next message on")
        case "/system":
            remark(conversation.system or "nothing")
        case "/help" | "/?":
            remark(COMMANDS)
        case _:
            remark(f"there is no command {command}\n{COMMANDS}")
    return True


def _answer(conversation: Conversation, message: str, as_json: bool) -> Answer:
    shown = False

    def show(text: str, dim: bool) -> None:
        nonlocal shown
        shown = True
        write(text, dim)

    try:
        answer = conversation.say(message, (lambda text, dim: None) if as_json else show)
    finally:
        # An answer that broke off must not have an error message on its last line.
        if shown:
            click.echo()
    if as_json:
        click.echo(dump_json(answer.to_json()))
    else:
        remark(answer.summary())
    return answer
