"""Requests of the OpenAI dialect, which Fireworks shares, as they come over the wire.

The contract is OpenAI's API reference (`/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`) with
the parameters that Fireworks, vLLM and llama.cpp add under the same names (`top_k`, `min_p`, …).
They are typed dictionaries, not models: the relay passes a checked request on and never builds objects.
A field that is null counts as not given.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from paddock.schemas.bounds import INT32

# Unknown fields are kept: whether an engine takes one is for the engine's parameter table to say.
_WIRE = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

TokenId = Annotated[int, Field(ge=0, le=INT32)]
# A list stops at its first fault: a million of them would take half a minute to report.
TokenIds = Annotated[list[TokenId], Field(fail_fast=True)]
Texts = Annotated[list[str], Field(fail_fast=True)]
Role = Literal["system", "developer", "user", "assistant", "tool"]


@with_config(_WIRE)
class StreamOptions(TypedDict, total=False):
    include_usage: Annotated[bool | None, Field(description="Send a last chunk with `usage` and no choices.")]


@with_config(_WIRE)
class Sampling(TypedDict, total=False):
    """Fields that chat and plain completions share."""

    model: Required[Annotated[str, Field(min_length=1, description="Name of a served model, long or short.")]]
    stream: Annotated[bool | None, Field(description="Answer with server-sent events.")]
    stream_options: StreamOptions | None
    n: Annotated[int | None, Field(ge=1, le=128, description="How many choices to generate.")]
    max_tokens: Annotated[
        int | None, Field(ge=1, le=INT32, description="Most tokens to generate for a choice.")
    ]
    temperature: Annotated[float | None, Field(ge=0, le=2, description="0 always takes the likeliest token.")]
    top_p: Annotated[float | None, Field(ge=0, le=1, description="Nucleus sampling: probability mass kept.")]
    top_k: Annotated[
        int | None, Field(ge=-1, le=INT32, description="Keep the k likeliest tokens; 0 or -1 keeps all.")
    ]
    min_p: Annotated[
        float | None, Field(ge=0, le=1, description="Least probability relative to the likeliest.")
    ]
    typical_p: Annotated[float | None, Field(ge=0, le=1)]
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)]
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)]
    repetition_penalty: Annotated[float | None, Field(gt=0, le=2, description="1 is off.")]
    logit_bias: Annotated[
        dict[str, Annotated[float, Field(ge=-100, le=100)]] | None,
        Field(description="Token id (as a string) to a bias from -100 to 100."),
    ]
    stop: Annotated[
        str | Annotated[list[str], Field(max_length=16, fail_fast=True)] | None,
        Field(description="Up to 16 strings at which generation ends; they are not part of the answer."),
    ]
    seed: Annotated[
        int | None,
        Field(
            ge=-(2**63),
            le=2**63 - 1,
            description="Same seed and same request, same answer, as far as possible.",
        ),
    ]
    user: Annotated[str | None, Field(description="Accepted and not used.")]
    response_format: Annotated[dict[str, Any] | None, Field(description="json_object or json_schema.")]
    guided_json: Annotated[
        dict[str, Any] | str | None, Field(description="A JSON Schema that the answer follows.")
    ]
    guided_regex: Annotated[
        str | None, Field(description="A regular expression that the whole answer matches.")
    ]
    guided_choice: Annotated[
        Annotated[list[str], Field(min_length=1, fail_fast=True)] | None,
        Field(description="Texts of which the answer is one."),
    ]
    guided_grammar: Annotated[
        str | None, Field(description="A grammar, in Lark's notation or GBNF, that the answer follows.")
    ]
    include_stop_str_in_output: Annotated[
        bool | None, Field(description="End the answer with the stop string that was met.")
    ]
    skip_special_tokens: Annotated[bool | None, Field(description="Leave special tokens out of the answer.")]


@with_config(_WIRE)
class ContentPart(TypedDict, total=False):
    type: Required[str]
    text: str | None


@with_config(_WIRE)
class Message(TypedDict, total=False):
    role: Required[Role]
    content: str | Annotated[list[ContentPart], Field(fail_fast=True)] | None
    name: str | None
    tool_calls: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None
    tool_call_id: str | None


@with_config(_WIRE)
class FunctionDefinition(TypedDict, total=False):
    name: Required[Annotated[str, Field(min_length=1, max_length=64)]]
    description: str | None
    parameters: dict[str, Any] | None


@with_config(_WIRE)
class Tool(TypedDict, total=False):
    type: Required[Literal["function"]]
    function: Required[FunctionDefinition]


@with_config(_WIRE)
class ChatCompletionRequest(Sampling, total=False):
    """Body of POST /chat/completions."""

    messages: Required[
        Annotated[list[Message], Field(min_length=1, fail_fast=True, description="The conversation so far.")]
    ]
    max_completion_tokens: Annotated[
        int | None, Field(ge=1, le=INT32, description="The newer name of `max_tokens`.")
    ]
    logprobs: Annotated[bool | None, Field(description="Return the log probability of each token.")]
    top_logprobs: Annotated[int | None, Field(ge=0, le=20, description="Alternatives at each token.")]
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None
    tool_choice: Annotated[
        str | dict[str, Any] | None, Field(description="none, auto, required, or one function by name.")
    ]
    parallel_tool_calls: bool | None


@with_config(_WIRE)
class CompletionRequest(Sampling, total=False):
    """Body of POST /completions."""

    prompt: Required[
        Annotated[
            str | TokenIds | Texts | Annotated[list[TokenIds], Field(fail_fast=True)],
            Field(description="A string, a list of strings, token ids, or a list of lists of token ids."),
        ]
    ]
    logprobs: Annotated[int | None, Field(ge=0, le=20, description="Alternatives at each token; 0 for none.")]
    echo: Annotated[bool | None, Field(description="Begin the answer with the prompt.")]
    suffix: str | None
    best_of: Annotated[int | None, Field(ge=1, le=128)]


@with_config(_WIRE)
class EmbeddingRequest(TypedDict, total=False):
    """Body of POST /embeddings."""

    model: Required[Annotated[str, Field(min_length=1)]]
    input: Required[
        Annotated[
            str | TokenIds | Texts | Annotated[list[TokenIds], Field(fail_fast=True)],
            Field(description="A string, a list of strings, token ids, or a list of lists of token ids."),
        ]
    ]
    encoding_format: Literal["float", "base64"] | None
    dimensions: Annotated[int | None, Field(ge=1, le=INT32)]
    user: str | None
