"""How llama.cpp takes the parameters of a completion, and what it cannot honour."""

from __future__ import annotations

from typing import Any

import orjson

from paddock.engines.llama_cpp import stops, vllm_names
from paddock.engines.llama_cpp.guided import GUIDED
from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.inference import relay
from paddock.inference.routing import Deployment

JSON = dict[str, Any]
SEEDS = 2**32 - 1
"""Seeds are 32 bits wide, and the last one means `any`."""

LONGEST_TEXT = 2**17
"""Tokens of a text whose model does not say how long it may be."""

DEFAULT_COMPLETION_TOKENS = 16
"""OpenAI's default for /completions; a chat runs until the model stops."""

_PASSED = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "typical_p",
        "presence_penalty",
        "frequency_penalty",
        "stop",
        # llama.cpp's own, under its own names.
        "ignore_eos",
        "repeat_last_n",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "dynatemp_range",
        "dynatemp_exponent",
        "dry_multiplier",
        "dry_base",
        "dry_allowed_length",
        "dry_sequence_breakers",
        "xtc_probability",
        "xtc_threshold",
        "timings_per_token",
    }
)
_TRANSLATED = GUIDED | frozenset(
    {
        "grammar",
        "model",
        "stream",
        "n",
        "max_tokens",
        "logit_bias",
        "repetition_penalty",
        "seed",
        "response_format",
        "logprobs",
        "context_length_exceeded_behavior",
        "include_stop_str_in_output",
        "skip_special_tokens",
    }
)
_NO_EFFECT = vllm_names.NO_EFFECT | frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
)
"""Bookkeeping for other platforms: accepted because clients send it, and without any meaning here."""

_REFUSED = {
    "functions": "use tools",
    "function_call": "use tool_choice",
    "audio": "no served model speaks",
    "prediction": "llama.cpp has no predicted outputs",
    "web_search_options": "there is no web search here",
    "suffix": "filling in the middle is not offered",
}
_COMMON = _PASSED | _TRANSLATED | _NO_EFFECT | frozenset(_REFUSED)
CHAT = (
    _COMMON
    | vllm_names.CHAT
    | {
        "messages",
        "max_completion_tokens",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "modalities",
        "reasoning_effort",
        "chat_template_kwargs",
    }
)
COMPLETION = _COMMON | vllm_names.COMPLETION | {"prompt", "echo", "best_of"}

# Sampling: OpenAI's defaults, where llama.cpp has others of its own. Streaming: only then llama.cpp surely
# notices that its caller has left, and while it still reads the prompt only if it reports progress.
_ALWAYS: JSON = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "stream": True,
    "stream_options": {"include_usage": True},
    "return_progress": True,
}


def translate(deployment: Deployment, fields: JSON, *, chat: bool) -> tuple[JSON, int | None]:
    """(body without prompt, alternatives at each token or None if no log probabilities were asked for).

    Raises:
        UnsupportedParameter: llama.cpp, or the model, cannot honour a field.
    """
    _refuse(fields, chat)
    body: JSON = {**_ALWAYS, **deployment.sampling}
    for name in _PASSED & fields.keys():
        body[name] = fields[name]
    if body["temperature"] == 0:
        # The likeliest token wins whatever the rest: one candidate spares sorting the whole vocabulary.
        body["top_k"] = 1
    if "repetition_penalty" in fields:
        body["repeat_penalty"] = fields["repetition_penalty"]
    if body.keys() & {"repeat_penalty", "presence_penalty", "frequency_penalty"}:
        # llama.cpp looks 64 tokens back; in OpenAI's API the whole text counts.
        body.setdefault("repeat_last_n", -1)
    if body.get("repeat_last_n") == -1:
        # Its own word for the whole text, which newer ones refuse; each token back costs memory.
        body["repeat_last_n"] = deployment.context_length or LONGEST_TEXT
    if "seed" in fields:
        body["seed"] = fields["seed"] % SEEDS
    limit = fields.get("max_completion_tokens", fields.get("max_tokens"))
    if limit is None and not chat:
        limit = DEFAULT_COMPLETION_TOKENS
    if limit is not None:
        body["max_tokens"] = limit
    if "logit_bias" in fields:
        body["logit_bias"] = _logit_bias(fields["logit_bias"], deployment)
    if "response_format" in fields:
        body |= _response_format(fields["response_format"], chat)
    if fields.get("include_stop_str_in_output") and fields.get("stop"):
        body |= stops.ASKED
    if not chat:
        return body, _completion_logprobs(fields, body)
    body["messages"] = [_message(message, index) for index, message in enumerate(fields["messages"])]
    _tools(deployment, fields, body)
    if "chat_template_kwargs" in fields:
        body["chat_template_kwargs"] = fields["chat_template_kwargs"]
    if not fields.get("logprobs"):
        return body, None
    top = fields.get("top_logprobs", 0)
    body |= {"logprobs": True, "top_logprobs": max(1, top)}
    return body, top


def unstreamed(body: JSON) -> JSON:
    """The same request for a whole answer."""
    streaming = ("stream_options", "return_progress")
    return {name: value for name, value in body.items() if name not in streaming} | {"stream": False}


def prompts(prompt: Any) -> list[str | list[int]]:
    """The four forms of `prompt` as a list of single prompts.

    Raises:
        InvalidRequest: there is none.
    """
    if isinstance(prompt, str):
        return [prompt]
    if not prompt or [] in prompt:
        raise InvalidRequest("prompt must not be an empty list", param="prompt")
    return [prompt] if isinstance(prompt[0], int) else prompt


async def texts(deployment: Deployment, prompts: list[Any]) -> list[str]:
    """The prompts as text, for `echo`; the engine turns token ids back."""
    result = []
    for prompt in prompts:
        if isinstance(prompt, str):
            result.append(prompt)
            continue
        raw = await relay.fetch(deployment, b"/detokenize", orjson.dumps({"tokens": prompt}), own_route=True)
        try:
            result.append(str(orjson.loads(raw)["content"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise relay.broken_answer("no text for the tokens of the prompt") from None
    return result


def _refuse(fields: JSON, chat: bool) -> None:
    for name in _REFUSED.keys() & fields.keys():
        raise UnsupportedParameter(f"{name} cannot be honoured: {_REFUSED[name]}", param=name)
    vllm_names.refuse_others(fields, chat=chat)
    if fields.get("store"):
        raise UnsupportedParameter("store: true cannot be honoured: answers are not kept", param="store")
    if fields.get("service_tier", "auto") not in ("auto", "default"):
        raise UnsupportedParameter("service_tier must be auto or default", param="service_tier")
    if fields.get("modalities", ["text"]) != ["text"]:
        raise UnsupportedParameter('modalities must be ["text"]', param="modalities")
    if fields.get("context_length_exceeded_behavior", "error") != "error":
        raise UnsupportedParameter(
            "context_length_exceeded_behavior must be error: prompts are never cut",
            param="context_length_exceeded_behavior",
        )
    if "reasoning_effort" in fields:
        raise UnsupportedParameter(
            "reasoning_effort cannot be honoured by this model", param="reasoning_effort"
        )
    if not chat and fields.get("best_of", 1) > fields.get("n", 1):
        raise UnsupportedParameter(
            "best_of above n cannot be honoured: every choice is returned", param="best_of"
        )
    if not chat and fields.get("echo") and fields.get("logprobs") is not None:
        raise UnsupportedParameter(
            "echo with logprobs cannot be honoured: llama.cpp gives no log probabilities of the prompt",
            param="logprobs",
        )


def _completion_logprobs(fields: JSON, body: JSON) -> int | None:
    top: int | None = fields.get("logprobs")
    if top is not None:
        body["logprobs"] = max(1, top)
    return top


def _logit_bias(biases: dict[str, float], deployment: Deployment) -> dict[str, float]:
    size = deployment.vocabulary
    for token in biases:
        known = token.isascii() and token.isdecimal() and len(token) < 16
        if not known or (size and int(token) >= size):
            ids = f"0 to {size - 1}" if size else "whole numbers"
            raise InvalidRequest(
                f"logit_bias.{token[:40]}: keys must be token ids, {ids}", param="logit_bias"
            )
    return biases


def _response_format(wanted: JSON, chat: bool) -> JSON:
    """The fields by which llama.cpp knows it; /completions has another than chat."""
    kind = wanted.get("type")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": wanted} if chat else {"json_schema": {"type": "object"}}
    if kind != "json_schema":
        raise InvalidRequest(
            f'response_format.type must be "text", "json_object" or "json_schema", not {kind!r}',
            param="response_format.type",
        )
    nested = wanted.get("json_schema")
    if not isinstance(nested, dict) or not isinstance(nested.get("schema"), dict):
        raise InvalidRequest(
            'response_format.json_schema must be {"name": "...", "schema": {...}}',
            param="response_format.json_schema",
        )
    # It is followed by a grammar, `guided.guide`, except beside tools.
    return {"response_format": wanted} if chat else {}


def _message(message: JSON, index: int) -> JSON:
    result = {name: value for name, value in message.items() if value is not None}
    if result["role"] == "developer":
        # OpenAI's newer name; the chat templates know the older one.
        result["role"] = "system"
    content = result.get("content")
    if content is None:
        if result["role"] != "assistant" or not result.get("tool_calls"):
            raise InvalidRequest(f"messages.{index}.content is required", param=f"messages.{index}.content")
        result["content"] = ""
    elif isinstance(content, list):
        result["content"] = "\n".join(
            _text(part, f"messages.{index}.content.{at}") for at, part in enumerate(content)
        )
    return result


def _text(part: JSON, where: str) -> str:
    if part["type"] != "text":
        raise UnsupportedParameter(
            f'{where}.type must be "text": this model reads no {part["type"][:40]}', param=f"{where}.type"
        )
    text = part.get("text")
    if text is None:
        raise InvalidRequest(f"{where}.text is required", param=f"{where}.text")
    return str(text)


def _tools(deployment: Deployment, fields: JSON, body: JSON) -> None:
    tools, choice = fields.get("tools"), fields.get("tool_choice", "auto")
    if not tools or choice == "none":
        return
    if not deployment.tools:
        raise UnsupportedParameter(
            f"model {deployment.name!r} has a chat template without tools", param="tools"
        )
    body |= {"tools": tools, "tool_choice": "auto"}
    if choice != "auto":
        _force_tool(tools, choice, fields, body)
    if "parallel_tool_calls" in fields:
        body["parallel_tool_calls"] = fields["parallel_tool_calls"]


def forces_tool(fields: JSON) -> bool:
    """Whether the answer must be a tool call."""
    return bool(fields.get("tools")) and fields.get("tool_choice", "auto") not in ("auto", "none")


def _force_tool(tools: list[JSON], choice: Any, fields: JSON, body: JSON) -> None:
    """llama.cpp accepts `required` and does not enforce it; a JSON schema it does."""
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        tools = [tool for tool in tools if tool["function"]["name"] == name]
        if choice.get("type") != "function" or not tools:
            raise InvalidRequest(
                'tool_choice must be {"type": "function", "function": {"name": one of tools}}',
                param="tool_choice",
            )
    elif choice != "required":
        raise InvalidRequest(
            f'tool_choice must be "none", "auto", "required" or a function, not {choice!r}',
            param="tool_choice",
        )
    if "response_format" in body or "grammar" in fields:
        raise InvalidRequest(
            "a tool_choice that demands a call does not go together with response_format or grammar",
            param="tool_choice",
        )
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                "arguments": tool["function"].get("parameters") or {"type": "object"},
            },
            "required": ["name", "arguments"],
        }
        for tool in tools
    ]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    body["response_format"] = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
