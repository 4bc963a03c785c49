"""Rows in JSON Lines: a prompt with its response, or a chat as OpenAI has it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from paddock.schemas.jobs import problem
from paddock.services.finetunes.lines import JSON, Line

ROLES = ("system", "user", "assistant")
CALLS = ("tools", "functions", "tool_calls", "function_call", "parallel_tool_calls", "tool_call_id")
MESSAGE = ("role", "content", "weight")
_SHOWN = 60
_LEARNED = ("prompt", "response")
Kind = Literal["", "prompts", "chats"]


@dataclass
class Checked:
    """
    Attributes:
        row: as the trainer reads it; of no use where something is wrong with it.
        kind: `prompts` or `chats`; empty if that cannot be told.
        ignored: names of fields that say nothing here.
    """

    row: JSON = field(default_factory=dict)
    kind: Kind = ""
    faults: list[JSON] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def check(line: Line, row: int) -> Checked:
    """
    Args:
        row: its number, from 1.
    """
    try:
        value = orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        said = f"row {row} is not a JSON object on one line: {error.msg} (character {error.colno})"
        return Checked(faults=[problem("invalid_json_line", said, line=line.number)])
    if not isinstance(value, dict):
        said = (
            f"row {row} must be a JSON object with prompt and response, or with messages, not {_shown(value)}"
        )
        return Checked(faults=[problem("invalid_json_line", said, line=line.number)])
    found = _Row(line.number, row)
    if "messages" in value:
        return found.chat(value)
    if "prompt" in value or "response" in value:
        return found.prompt(value)
    has = ", ".join(repr(name[:40]) for name in list(value)[:20]) or "nothing"
    found.wrong(
        "missing_required_parameter", "messages", f"has neither prompt and response nor messages, but {has}"
    )
    return found.checked


class _Row:
    """One row, and what is wrong with it."""

    def __init__(self, line: int, row: int) -> None:
        self.checked = Checked()
        self._line = line
        self._number = row

    def wrong(self, code: str, param: str, said: str) -> None:
        self.checked.faults.append(problem(code, f"row {self._number} {said}", param=param, line=self._line))

    def prompt(self, value: JSON) -> Checked:
        self.checked.kind = "prompts"
        for name in _LEARNED:
            if self._text(value, name, name):
                self.checked.row[name] = value[name]
        self.checked.ignored = [name for name in value if name not in _LEARNED]
        return self.checked

    def chat(self, value: JSON) -> Checked:
        self.checked.kind = "chats"
        for name in value:
            if name in CALLS and value[name] not in (None, []):
                self.wrong(
                    "unsupported_parameter", name, f"has {name}; calls of tools cannot be learned here"
                )
        messages = value["messages"]
        if not isinstance(messages, list) or not messages:
            self.wrong("invalid_value", "messages", f"must have a list of messages, not {_shown(messages)}")
            return self.checked
        before = len(self.checked.faults)
        said = [self._message(f"messages.{i}", message) for i, message in enumerate(messages)]
        if len(self.checked.faults) == before:
            self._learned(said)
        self.checked.row = {"messages": said}
        self.checked.ignored = [name for name in value if name != "messages" and name not in CALLS]
        return self.checked

    def _message(self, param: str, message: Any) -> JSON:
        """As the trainer reads it, so far as it is right."""
        if not isinstance(message, dict):
            self.wrong("invalid_value", param, f"has {param}, which must be an object, not {_shown(message)}")
            return {}
        if not self._role(param, message):
            return {}
        for name, value in message.items():
            if name not in MESSAGE and value is not None:
                self._refuse(param, name)
        role = message["role"]
        self._text(message, "content", f"{param}.content", empty_is_right=role == "system")
        weight = message.get("weight")
        if weight is None:
            return {"role": role, "content": message.get("content")}
        if role != "assistant":
            said = f"has {param}.weight, which only an assistant's message takes"
            self.wrong("invalid_value", f"{param}.weight", said)
        elif isinstance(weight, bool) or weight not in (0, 1):
            said = f"has {param}.weight {_shown(weight)}, which must be 0 or 1"
            self.wrong("invalid_value", f"{param}.weight", said)
        # A weight of 1 is what every message has.
        kept = {} if weight else {"weight": 0}
        return {"role": role, "content": message.get("content"), **kept}

    def _role(self, param: str, message: JSON) -> bool:
        role = message.get("role")
        if isinstance(role, str) and role in ROLES:
            return True
        right = f"must be {', '.join(ROLES[:-1])} or {ROLES[-1]}"
        if "role" not in message:
            self.wrong("missing_required_parameter", f"{param}.role", f"lacks {param}.role, which {right}")
        elif role in ("tool", "function"):
            said = f"has {param}.role {_shown(role)}: calls of tools cannot be learned here; it {right}"
            self.wrong("unsupported_parameter", f"{param}.role", said)
        else:
            self.wrong("invalid_value", f"{param}.role", f"has {param}.role {_shown(role)}, which {right}")
        return False

    def _refuse(self, param: str, name: str) -> None:
        shown = name[:100]
        near = difflib.get_close_matches(name, MESSAGE, n=1)
        if name in CALLS:
            hint = "calls of tools cannot be learned here"
        else:
            hint = f"did you mean {near[0]!r}?" if near else f"a message takes {', '.join(MESSAGE)}"
        said = f"has {param}.{shown}, which is not taken; {hint}"
        self.wrong("unsupported_parameter", f"{param}.{shown}", said)

    def _learned(self, messages: list[JSON]) -> None:
        if messages[-1]["role"] != "assistant":
            said = f"ends with a message of the {messages[-1]['role']}; the last must be the assistant's"
            self.wrong("invalid_value", f"messages.{len(messages) - 1}.role", said)
        elif not any(one["role"] == "assistant" and one.get("weight", 1) for one in messages):
            self.wrong("invalid_value", "messages", "has nothing to learn: all of its weights are 0")

    def _text(self, within: JSON, name: str, param: str, empty_is_right: bool = False) -> bool:
        if within.get(name) is None:
            has = ", ".join(repr(other[:40]) for other in list(within)[:20] if other != name)
            self.wrong("missing_required_parameter", param, f"lacks {param}; it has {has or 'nothing'}")
        elif not isinstance(within[name], str):
            self.wrong("invalid_value", param, f"has {param} {_shown(within[name])}, which must be a text")
        elif not within[name].strip() and not empty_is_right:
            self.wrong("empty_value", param, f"has an empty {param}")
        else:
            return True
        return False


def mixed(first: Kind, checked: Checked, line: int, row: int) -> Iterator[JSON]:
    """The fault of a row that is of another kind than the first."""
    if checked.kind and checked.kind != first:
        names = {"prompts": "a prompt with a response", "chats": "a chat"}
        said = f"row {row} is {names[checked.kind]}, and the first one {names[first]}; a file has one kind"
        yield problem("mixed_rows", said, line=line)


def _shown(value: Any) -> str:
    """For a message."""
    if isinstance(value, dict | list):
        return ("an object" if isinstance(value, dict) else "a list") if value else "an empty one"
    text = orjson.dumps(value[:_SHOWN] if isinstance(value, str) else value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
