"""Parameters of vLLM that llama.cpp honours at their defaults only.

vLLM's users, and the types of the LLM Engine client, send them with every request.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from paddock.errors import UnsupportedParameter

JSON = dict[str, Any]


class _Only(NamedTuple):
    """
    Attributes:
        values: those that change nothing.
        why: others cannot be honoured.
    """

    values: tuple[Any, ...]
    why: str


_BEAMS = "llama.cpp has no beam search"
_TEMPLATE = "chats are rendered by the model's own template, up to the answer"
_BOTH = {
    "use_beam_search": _Only((False,), _BEAMS),
    "length_penalty": _Only((1,), _BEAMS),
    "early_stopping": _Only((False,), _BEAMS),
    "stop_token_ids": _Only(([],), "llama.cpp stops at texts only; use stop"),
    "min_tokens": _Only((0,), "llama.cpp has no least length; ignore_eos goes on to max_tokens"),
    "guided_whitespace_pattern": _Only((), "white space in JSON is llama.cpp's own choice"),
}
_CHAT = {
    "skip_special_tokens": _Only((True,), "llama.cpp leaves special tokens out of a chat's answers"),
    "echo": _Only((False,), "a chat's answer has nothing put before it"),
    "add_generation_prompt": _Only((True,), _TEMPLATE),
    "continue_final_message": _Only((False,), _TEMPLATE),
    "add_special_tokens": _Only((False,), _TEMPLATE),
    "chat_template": _Only((), _TEMPLATE),
    "documents": _Only(([],), "the chat templates here know no documents; put them into a message"),
    "priority": _Only((0,), "requests are answered in their order"),
}
_COMPLETION = {
    "add_special_tokens": _Only((True,), "llama.cpp begins a prompt as its model wants it"),
    "priority": _Only((0,), "requests are answered in their order"),
}
NO_EFFECT = frozenset({"guided_decoding_backend", "spaces_between_special_tokens"})
CHAT = frozenset({*_BOTH, *_CHAT})
COMPLETION = frozenset({*_BOTH, *_COMPLETION})


def refuse_others(fields: JSON, *, chat: bool) -> None:
    """
    Raises:
        UnsupportedParameter: one of these parameters has a value that cannot be honoured.
    """
    known = _BOTH | (_CHAT if chat else _COMPLETION)
    for name in known.keys() & fields.keys():
        only = known[name]
        if fields[name] not in only.values:
            right = f"must be {_shown(only.values[0])} or left out" if only.values else "cannot be honoured"
            raise UnsupportedParameter(f"{name} {right}: {only.why}", param=name)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
