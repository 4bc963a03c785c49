"""`paddock version`."""

from __future__ import annotations

import platform
from typing import Any

import click

from paddock import __version__
from paddock.cli.output import dump_json

# The packages that bring engines; found without importing them.
_ENGINES = {"llama.cpp": "xllamacpp", "vllm": "vllm"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Also Python and the engines found, as a JSON object.")
def version(as_json: bool) -> None:
    """Show the version.

    With --json: the versions of Paddock and Python, the platform, and the engines found on this machine.
    """
    if not as_json:
        click.echo(f"paddock {__version__}")
        return
    about = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "engines": _engines(),
    }
    click.echo(dump_json(about))


def _engines() -> list[dict[str, Any]]:
    # Both cost more time than all the rest of `paddock version`, which needs neither.
    from importlib import metadata

    from paddock import settings

    found: list[dict[str, Any]] = []
    for engine, package in _ENGINES.items():
        try:
            found.append({"name": engine, "package": package, "version": metadata.version(package)})
        except metadata.PackageNotFoundError:
            continue
    server = settings.load().llama_server
    if server is not None:
        found.append({"name": "llama.cpp", "binary": str(server), "found": server.is_file()})
    return found
