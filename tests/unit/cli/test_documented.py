"""Every option is in docs/cli.md, under its command."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from paddock.cli import COMMANDS


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by the words that call it; of a group those in it."""
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", each) for below, each in command.commands.items())
        else:
            yield name, command


def words(usage: str) -> str:
    """`batch show` of `batch show ID`, `scale` of `scale NAME [WORKERS]`."""
    return " ".join(word for word in usage.split() if word.islower())


FOUND = dict(commands())
SECTIONS = {
    words(section.split("`", 1)[0]): section
    for section in re.split(r"^## `paddock ", Path("docs/cli.md").read_text("utf-8"), flags=re.M)[1:]
}


@pytest.mark.parametrize("name", FOUND)
def test_options_of_the_command(name: str) -> None:
    options = {
        option
        for parameter in FOUND[name].params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    *_, listed = re.split(r"^\| option \|.*$", SECTIONS[name], flags=re.M)
    documented = set(re.findall(r"`(--?[a-z-]+)`", "\n".join(re.findall(r"^\| (`-.*?) \|", listed, re.M))))
    assert documented == options


def test_no_command_is_documented_that_is_not_there() -> None:
    assert set(SECTIONS) == set(FOUND)
