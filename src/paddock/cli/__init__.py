"""The command line: one file a command."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from paddock import __version__
from paddock.cli.output import printable
from paddock.errors import PaddockError, StartupError

# Imported when called, so that no command waits for the imports of another.
COMMANDS = {
    "serve": "paddock.cli.serve:serve",
    "chat": "paddock.cli.chat:chat",
    "complete": "paddock.cli.complete:complete",
    "models": "paddock.cli.models:models",
    "deploy": "paddock.cli.deploy:deploy",
    "ps": "paddock.cli.ps:ps",
    "logs": "paddock.cli.logs:logs",
    "describe": "paddock.cli.describe:describe",
    "scale": "paddock.cli.scale:scale",
    "stop": "paddock.cli.stop:stop",
    "start": "paddock.cli.start:start",
    "rm": "paddock.cli.rm:rm",
    "hardware": "paddock.cli.hardware:hardware",
    "batch": "paddock.cli.batch:batch",
    "files": "paddock.cli.files:files",
    "finetune": "paddock.cli.finetune:finetune",
    "keys": "paddock.cli.keys:keys",
    "projects": "paddock.cli.projects:projects",
    "usage": "paddock.cli.usage:usage",
    "webhooks": "paddock.cli.webhooks:webhooks",
    "worker": "paddock.cli.worker:worker",
    "version": "paddock.cli.version:version",
}


class Commands(click.Group):
    """Looks commands up in `COMMANDS`, in the order in which a newcomer meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings also come from the environment (PADDOCK_PORT for --port) and ~/.paddock/paddock.toml.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Host, serve, fine-tune and use language models.

    \b
    Begin with:
      paddock serve            serve the bundled model at http://127.0.0.1:8800
      paddock chat             talk to it, in another terminal
      paddock deploy MODEL     serve another model beside it
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0; 1 when a request failed; 2 when the command could not run as it was given;
        130 after Ctrl-C.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # A character that cannot be read or shown becomes a question mark; it is no reason to stop.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = commands.main(arguments, prog_name="paddock", standalone_mode=False)
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except PaddockError as error:
        click.echo(f"paddock: {printable(error.message)}", err=True)
        return 2 if isinstance(error, StartupError) else 1
    return code if isinstance(code, int) else 0
