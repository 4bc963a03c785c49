"""Every option is in docs/cli.md, under its command."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

from paddock.cli import COMMANDS

SECTIONS = {
    section.split("`", 1)[0].split()[0]: section
    for section in re.split(r"^## `paddock ", Path("docs/cli.md").read_text("utf-8"), flags=re.M)[1:]
}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_the_command(name: str) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    options = {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    documented = set(re.findall(r"`(--?[a-z-]+)`", SECTIONS[name]))
    assert documented == options


def test_no_command_is_documented_that_is_not_there() -> None:
    assert set(SECTIONS) == set(COMMANDS)
