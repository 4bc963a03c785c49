"""`paddock finetune`: a model that learns from your data."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from paddock.cli.finetune_cancel import cancel
from paddock.cli.finetune_ls import ls
from paddock.cli.finetune_run import run
from paddock.cli.finetune_show import show

_BEGIN = "run"


class DataOrCommand(click.Group):
    """A first word that is no command of the group is the data, and `run` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            self._refuse_slip(args[0], ctx)
            args = [_BEGIN, *args]
        return super().parse_args(ctx, args)

    def _refuse_slip(self, word: str, ctx: click.Context) -> None:
        """
        Raises:
            UsageError: the word is no file, and looks like the name of a command.
        """
        near = difflib.get_close_matches(word, self.commands, n=1)
        if near and not Path(word).exists():
            raise click.UsageError(f"There is no file {word!r}; did you mean the command {near[0]!r}?", ctx)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "DATA --base MODEL [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", "       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.commands[_BEGIN].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=DataOrCommand)
def finetune() -> None:
    """Teach a model with the rows of DATA, and have the result served.

    DATA is a .csv file with the columns `prompt` and `response`, or a .jsonl file with these two fields or
    with OpenAI's {"messages": […]} on each line; or the id of a file that the server has already. `run`
    may be written before it, and must be where a file is called like a command.

    \b
    Examples:
      paddock finetune shop.csv --base paddock/foal --suffix shop
      paddock finetune shop.jsonl --base paddock/foal --set epochs=3 --plot losses.html
      paddock finetune ls
      paddock finetune show ID --follow
    """


for command in (run, ls, show, cancel):
    finetune.add_command(command)
