"""What the content of an LLM Engine batch must be; pure.

A row of it is a prompt, which all other fields of the content go with, or a request of its own. Whether the
fields of a request are right its own answer says: one bad row spoils no others.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from paddock.schemas.llm_engine import CompletionSyncV1Request

JSON = dict[str, Any]
PROMPTS = "prompts"
_SHOWN = 60
# All that a completion takes, of which the reference names a part.
_FIELDS: TypeAdapter[CompletionSyncV1Request] = TypeAdapter(CompletionSyncV1Request)


class Fault(NamedTuple):
    """
    Attributes:
        param: the field at fault, below the content; empty if that is none of its own.
    """

    code: str
    param: str
    message: str


def prompt_fault(number: int, prompt: Any) -> Fault | None:
    """What is wrong with a prompt."""
    if type(prompt) is str:
        return None
    name = f"{PROMPTS}.{number}"
    return Fault("invalid_prompt", name, f"{name} must be a string, not {shown(prompt)}")


def check_fields(fields: Mapping[str, Any]) -> tuple[JSON, list[Fault]]:
    """The fields that go with all prompts, as `CompletionSyncV1Request` takes them, and what is wrong with
    them.

    Args:
        fields: all but the prompts.
    """
    known = [name for name in CompletionSyncV1Request.model_fields if name != "prompt"]
    faults = []
    for name, value in fields.items():
        if name not in known and value is not None:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {PROMPTS}, {', '.join(known)}"
            said = f"{name[:100]!r} is not a field of prompts here{hint}"
            faults.append(Fault("unsupported_parameter", name[:100], said))
    given = {name: value for name, value in fields.items() if name in known}
    try:
        checked = _FIELDS.validate_python({**given, "prompt": ""})
    except ValidationError as error:
        return {}, faults + [_worded(detail) for detail in error.errors(include_url=False)]
    return checked.model_dump(mode="json", exclude_unset=True, exclude={"prompt"}), faults


class Requests:
    """Looks at one request after the other.

    Attributes:
        model: the one that they name; empty if none does.
    """

    def __init__(self) -> None:
        self.model = ""
        self._chat: bool | None = None

    def fault(self, number: int, row: Any) -> Fault | None:
        """What is wrong with the next one, beyond what its answer would say."""
        if type(row) is not dict:
            return Fault(
                "invalid_request", str(number), f"request {number} must be an object, not {shown(row)}"
            )
        chat = row.get("messages") is not None
        if chat is (row.get("prompt") is not None):
            wrong = "has both messages and a prompt" if chat else "has neither messages nor a prompt"
            return Fault("invalid_request", str(number), f"request {number} {wrong}: give one of them")
        if self._chat is None:
            self._chat = chat
        if chat is not self._chat:
            first, this = ("a chat", "a completion") if self._chat else ("a completion", "a chat")
            said = f"request {number} asks for {this}, and the first one for {first}; a batch has one kind"
            return Fault("mixed_requests", str(number), said)
        if row.get("stream"):
            said = f"request {number}: stream must not be true, since a batch has no streams"
            return Fault("invalid_request", f"{number}.stream", said)
        return self._model_fault(number, row.get("model"))

    def _model_fault(self, number: int, model: Any) -> Fault | None:
        if model is None:
            return None
        name = f"{number}.model"
        if type(model) is not str or not model:
            said = f"request {number}: model must be a model's name, not {shown(model)}"
            return Fault("invalid_request", name, said)
        self.model = self.model or model
        if model == self.model:
            return None
        said = f"request {number}: model {shown(model)} is not {shown(self.model)}, an earlier one's"
        said += "; a batch has one model"
        return Fault("mismatched_model", name, said)


def shown(value: Any) -> str:
    """For a message."""
    if type(value) is str:
        value = value[:_SHOWN]
    text = orjson.dumps(value).decode() if not isinstance(value, dict | list) else _kind(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _kind(value: dict[str, Any] | list[Any]) -> str:
    return "an object" if isinstance(value, dict) else "a list"


def _worded(detail: Any) -> Fault:
    name = ".".join(str(part)[:80] for part in detail["loc"])
    if detail["type"] == "missing":
        return Fault("missing_field", name, f"{name} is required")
    message = f"{name}: {detail['msg']}".replace(": Input should be", " must be")
    value = detail["input"]
    wrong = "" if isinstance(value, float) and not abs(value) < float("inf") else f", not {shown(value)}"
    return Fault("invalid_request", name, message + wrong)
