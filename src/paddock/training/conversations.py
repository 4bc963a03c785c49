"""Conversations as the text that the model sees, and the parts of it that are learned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = dict[str, Any]


class BadRow(Exception):
    """What is wrong with a row, for a person."""


@dataclass(frozen=True)
class Text:
    """
    Attributes:
        learned: (first character, the one after the last) of each part that is learned, in order.
        special: whether the text names its special tokens itself, as what a chat template writes does.
    """

    text: str
    learned: tuple[tuple[int, int], ...]
    special: bool


def texts(row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> list[Text]:
    """One text for a row; one for each answer where the template writes an old answer unlike a new one.

    Raises:
        BadRow: it is no row, or the chat template refuses it.
    """
    if "prompt" in row:
        prompt, response = _strings(row)
        if not tokenizer.chat_template:
            return [Text(prompt + response, ((len(prompt), len(prompt) + len(response)),), special=False)]
        return _chat(
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}], None, tokenizer
        )
    if unknown := sorted(set(row) - {"messages", "tools"}):
        raise BadRow(f"has an unknown field {unknown[0]!r}; known are messages, tools, prompt and response")
    if not tokenizer.chat_template:
        raise BadRow("has messages, but the model has no chat template; give prompt and response instead")
    return _chat(_messages(row.get("messages")), row.get("tools"), tokenizer)


def _strings(row: dict[str, Any]) -> tuple[str, str]:
    if unknown := sorted(set(row) - {"prompt", "response"}):
        raise BadRow(f"has an unknown field {unknown[0]!r}; known are prompt and response")
    for name in ("prompt", "response"):
        if not isinstance(row.get(name), str):
            raise BadRow(f"needs a string as {name}")
    return row["prompt"], row["response"]


def _messages(given: Any) -> list[Message]:
    if not isinstance(given, list) or not all(
        isinstance(message, dict) and isinstance(message.get("role"), str) for message in given
    ):
        raise BadRow("needs a list of messages, each with a role")
    last = max((index for index, message in enumerate(given) if message["role"] == "assistant"), default=-1)
    if last < 0:
        raise BadRow("has no message of the assistant, so that there is nothing to learn")
    # What follows the last answer teaches nothing.
    return [_message(message) for message in given[: last + 1]]


def _message(given: Message) -> Message:
    message = dict(given)
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise BadRow("has content that is not text")
        message["content"] = "".join(str(part.get("text", "")) for part in content)
    elif not isinstance(content, str | None):
        raise BadRow("has content that is neither a string nor a list of text parts")
    if message.get("tool_calls"):
        message["tool_calls"] = [_tool_call(call) for call in message["tool_calls"]]
    return message


def _tool_call(given: Any) -> Any:
    """With the arguments as an object, as templates expect them, where OpenAI has its JSON."""
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return given
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        return given
    return (
        {**given, "function": {**function, "arguments": arguments}} if isinstance(arguments, dict) else given
    )


def _chat(messages: list[Message], tools: Any, tokenizer: PreTrainedTokenizerBase) -> list[Text]:
    plain = [{name: value for name, value in message.items() if name != "weight"} for message in messages]
    # OpenAI's `weight` 0 marks an answer that is shown but not learned.
    answers = [
        index
        for index, message in enumerate(messages)
        if message["role"] == "assistant" and message.get("weight", 1) != 0
    ]
    if not answers:
        raise BadRow("has messages of the assistant with weight 0 only, so that there is nothing to learn")
    whole = _render(plain, tools, tokenizer)
    ends = {
        index: whole if index == len(plain) - 1 else _render(plain[: index + 1], tools, tokenizer)
        for index in answers
    }
    spans = {index: (_start(plain, index, end, tools, tokenizer), len(end)) for index, end in ends.items()}
    if all(whole.startswith(end) for end in ends.values()):
        return [Text(whole, tuple(spans.values()), special=True)]
    return [Text(ends[index], (spans[index],), special=True) for index in answers]


def _start(
    messages: list[Message], index: int, end: str, tools: Any, tokenizer: PreTrainedTokenizerBase
) -> int:
    """Where the answer begins in `end`, the text of the conversation up to it: after what asks for one."""
    if index == 0:
        # Templates seldom take an empty conversation.
        return max(0, end.find(str(messages[0].get("content") or "").strip()))
    asked = _render(messages[:index], tools, tokenizer, add_generation_prompt=True)
    pairs = enumerate(zip(asked, end, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(asked), len(end)))


def _render(
    messages: list[Message],
    tools: Any,
    tokenizer: PreTrainedTokenizerBase,
    add_generation_prompt: bool = False,
) -> str:
    try:
        text = tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except Exception as error:
        # Templates raise whatever they like: their own errors, TypeError for a missing field, and more.
        raise BadRow(f"does not fit the model's chat template: {error}") from error
    return str(text)
