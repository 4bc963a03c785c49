"""How a model writes a chat down: its template, rendered as transformers' `apply_chat_template` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from paddock.errors import StartupError
from paddock.weights.config import read_json

FILE = "chat_template.jinja"
TOKENIZER = "tokenizer_config.json"
DEFAULT = "default"
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class Template:
    """A chat template with the special tokens that it may name."""

    def __init__(self, source: str, special: dict[str, str]) -> None:
        """
        Raises:
            jinja2.TemplateError: it is no template.
        """
        self._template = _environment().from_string(source)
        self._special = special

    def render(self, messages: Sequence[dict[str, Any]]) -> str:
        """The whole chat, without an invitation to go on.

        Raises:
            ValueError: the template refuses it; says why.
        """
        try:
            return self._template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=False, **self._special
            )
        # A template is a program of somebody else, and fails as programs do.
        except Exception as error:
            raise ValueError(str(error) or type(error).__name__) from error


def load_template(folder: Path) -> Template | None:
    """The template of a checkpoint; nothing if it has none.

    Raises:
        StartupError: a file cannot be read or is not what it should be.
    """
    config = read_json(folder, TOKENIZER)
    source, origin = _source(folder, config)
    if source is None:
        return None
    try:
        return Template(source, _special_tokens(folder, config))
    except jinja2.TemplateError as error:
        raise StartupError(f"{origin} is not a chat template: {error}") from error


def _source(folder: Path, config: dict[str, Any]) -> tuple[str | None, Path]:
    path = folder / FILE
    try:
        return path.read_text(encoding="utf-8"), path
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"cannot read {path}: {error}") from error
    source, path = config.get("chat_template"), folder / TOKENIZER
    if isinstance(source, list):
        named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
        if DEFAULT not in named:
            raise StartupError(f"{path} has several chat templates, and none is named {DEFAULT!r}")
        source = named[DEFAULT]
    if source is not None and not isinstance(source, str):
        raise StartupError(f"{path} has a chat_template that is no text")
    return source, path


def _special_tokens(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    known = {**read_json(folder, "special_tokens_map.json"), **config}
    found = {}
    for name in _SPECIAL:
        value = known.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            found[name] = value
    return found


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment


class _Generation(Extension):
    """`{% generation %}` marks what the assistant says; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own writes `<` and quotes as HTML would."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _now(format: str) -> str:
    return datetime.now().strftime(format)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
