"""Completions and chat completions in OpenAI's shapes, which this dialect calls its second version.

The contract is the published client (scale-llm-engine 0.0.0b45), which took the fields from OpenAI's API
reference and from vLLM 0.6.4. Where its types ask for more of an answer than servers send (`refusal`, and
`logprobs` that nobody asked for), these do not.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from paddock.schemas.llm_engine.core import Bool, Float, Int, RequestWire, Wire
from paddock.schemas.openai import Message, TokenIds


class _V2Request(RequestWire):
    model: str = Field(description="Name of the model to ask.")
    best_of: Int | None = Field(default=None, description="How many choices to generate and choose from.")
    top_k: Int | None = Field(
        default=None, ge=-1, description="How many of the likeliest tokens to consider; -1 is all of them."
    )
    min_p: Float | None = Field(default=None, description="Least probability relative to the likeliest.")
    use_beam_search: Bool | None = Field(default=None, description="Whether to search instead of sampling.")
    length_penalty: Float | None = Field(default=None, description="Penalizes length, in a beam search.")
    repetition_penalty: Float | None = Field(
        default=None, description="Penalizes tokens that are in the text so far; 1 does not."
    )
    early_stopping: Bool | None = Field(default=None, description="When a beam search ends.")
    stop_token_ids: Annotated[list[Int], Field(fail_fast=True)] | None = Field(
        default_factory=list, description="Tokens at which generation ends."
    )
    include_stop_str_in_output: Bool | None = Field(
        default=None, description="Whether the text ends with the stop sequence that was met."
    )
    ignore_eos: Bool | None = Field(default=None, description="Whether to go on after the end token.")
    min_tokens: Int | None = Field(default=None, description="Least tokens before generation may end.")
    skip_special_tokens: Bool | None = Field(
        default=True, description="Whether special tokens are left out of the text."
    )
    spaces_between_special_tokens: Bool | None = Field(
        default=True, description="Whether spaces are put between special tokens."
    )
    frequency_penalty: Float | None = Field(
        default=0, ge=-2.0, le=2.0, description="Penalizes tokens by how often they are in the text so far."
    )
    presence_penalty: Float | None = Field(
        default=0, ge=-2.0, le=2.0, description="Penalizes tokens that are in the text so far."
    )
    logit_bias: dict[str, Float] | None = Field(
        default=None, description="Token id, as text, to what its logit is changed by."
    )
    n: Int | None = Field(default=1, ge=1, le=128, description="How many choices to generate.")
    seed: Int | None = Field(
        default=None, ge=-(2**63), le=2**63 - 1, description="Same seed and same request, same answer."
    )
    stop: str | list[str] | None = Field(default=None, description="Texts at which generation ends.")
    stream: Bool | None = Field(default=False, description="Whether to answer with server-sent events.")
    stream_options: dict[str, Any] | None = None
    temperature: Float | None = Field(
        default=1, ge=0.0, le=2.0, description="The sampling temperature; 0 always takes the likeliest token."
    )
    top_p: Float | None = Field(
        default=1, ge=0.0, le=1.0, description="The summed probability of the tokens to consider."
    )
    user: str | None = None
    response_format: dict[str, Any] | None = Field(
        default=None, description="`text`, `json_object` or `json_schema`, in `type`."
    )
    guided_json: dict[str, Any] | None = Field(
        default=None, description="A JSON Schema that the text shall follow."
    )
    guided_regex: str | None = Field(
        default=None, description="A regular expression that the text shall match."
    )
    guided_choice: list[str] | None = Field(default=None, description="Texts of which the answer is one.")
    guided_grammar: str | None = Field(
        default=None, description="A context-free grammar that the text shall follow."
    )
    guided_decoding_backend: str | None = None
    guided_whitespace_pattern: str | None = None


class CompletionV2Request(_V2Request):
    """A completion of a prompt."""

    prompt: str | TokenIds | list[str] | list[TokenIds] = Field(
        description="Text or token ids to continue, or a list of these."
    )
    best_of: Int | None = Field(
        default=1, ge=0, le=20, description="How many choices to generate and choose from."
    )
    echo: Bool | None = Field(default=False, description="Whether the answer begins with the prompt.")
    logprobs: Int | None = Field(default=None, ge=0, le=5, description="Alternatives at each token.")
    max_tokens: Int | None = Field(default=16, ge=0, description="How many tokens to generate at most.")
    suffix: str | None = Field(default=None, description="What comes after the completion.")
    add_special_tokens: Bool | None = Field(
        default=None, description="Whether the prompt gets the special tokens at its beginning."
    )


class ChatCompletionV2Request(_V2Request):
    """The next message of a conversation."""

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)] = Field(
        description="The conversation so far."
    )
    logprobs: Bool | None = Field(
        default=False, description="Whether to return the log probability of each token."
    )
    top_logprobs: Int | None = Field(default=None, ge=0, le=20, description="Alternatives at each token.")
    max_tokens: Int | None = Field(default=None, description="How many tokens to generate at most.")
    service_tier: Literal["auto", "default"] | None = None
    tools: list[dict[str, Any]] | None = Field(default=None, description="Functions that may be called.")
    tool_choice: str | dict[str, Any] | None = Field(
        default=None, description="none, auto, required, or one function by name."
    )
    parallel_tool_calls: Bool | None = None
    function_call: str | dict[str, Any] | None = Field(
        default=None, description="An older form of `tool_choice`."
    )
    functions: list[dict[str, Any]] | None = Field(default=None, description="An older form of `tools`.")
    echo: Bool = Field(default=False, description="Whether the answer begins with the last message.")
    add_generation_prompt: Bool = Field(
        default=True, description="Whether the chat template begins the model's own message."
    )
    continue_final_message: Bool = Field(
        default=False, description="Whether the answer goes on with the last message."
    )
    add_special_tokens: Bool = Field(
        default=False, description="Whether special tokens are added to those of the chat template."
    )
    documents: list[dict[str, str]] | None = Field(default=None, description="Given to the chat template.")
    chat_template: str | None = Field(default=None, description="A Jinja template; unset, the model's own.")
    chat_template_kwargs: dict[str, Any] | None = Field(
        default=None, description="Given to the chat template."
    )
    priority: Int = Field(default=0, description="Lower comes earlier.")


class CompletionUsage(Wire):
    """How many tokens a request took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionV2Choice(Wire):
    """One of the texts that were generated for a prompt."""

    index: int
    text: str
    finish_reason: str | None = Field(default=None, description="`stop` or `length`.")
    logprobs: dict[str, Any] | None = None


class ChatCompletionV2Message(Wire):
    """What the model said."""

    role: str
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None


class ChatCompletionV2Choice(Wire):
    """One of the messages that were generated for a conversation."""

    index: int
    message: ChatCompletionV2Message
    finish_reason: str | None = Field(default=None, description="`stop`, `length` or `tool_calls`.")
    logprobs: dict[str, Any] | None = None


class CompletionV2Response(Wire):
    """The answer to a `CompletionV2Request`."""

    id: str
    object: Literal["text_completion"]
    created: int = Field(description="When, as a Unix time in seconds.")
    model: str
    choices: list[CompletionV2Choice]
    usage: CompletionUsage | None = None
    system_fingerprint: str | None = None


class ChatCompletionV2Response(Wire):
    """The answer to a `ChatCompletionV2Request`."""

    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="When, as a Unix time in seconds.")
    model: str
    choices: list[ChatCompletionV2Choice]
    usage: CompletionUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


CompletionV2SyncResponse: TypeAlias = CompletionV2Response
ChatCompletionV2SyncResponse: TypeAlias = ChatCompletionV2Response
