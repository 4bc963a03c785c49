"""`paddock batch`: many prompts at once, answered once each."""

from __future__ import annotations

import click

from paddock.cli.batch_cancel import cancel
from paddock.cli.batch_ls import ls
from paddock.cli.batch_run import run
from paddock.cli.batch_show import show


@click.group()
def batch() -> None:
    """Have a server answer many prompts, whatever happens meanwhile.

    \b
    Examples:
      paddock batch run prompts.csv --model foal --out answers.csv
      paddock batch ls
    """


for command in (run, ls, show, cancel):
    batch.add_command(command)
