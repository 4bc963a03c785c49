"""Completions of the LLM Engine dialect: requests, answers, and the events of streams.

The contract is the LLM Engine reference, and where it is silent the published client (scale-llm-engine
0.0.0b45). Answers of older servers, which count no prompt tokens and list no tokens, parse too.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Any, TypeAlias

from pydantic import Field

from paddock.schemas.llm_engine.core import Bool, Float, Int, RequestWire, StreamError, Wire

_REQUEST_ID = "The unique ID of the completion request, made by the server; it is the trace ID as well."


class _CompletionRequest(RequestWire):
    prompt: str = Field(description="The text to continue.")
    max_new_tokens: Int = Field(ge=1, description="How many tokens to generate at most.")
    temperature: Float = Field(
        ge=0.0, le=1.0, description="The sampling temperature; 0 always takes the likeliest token."
    )
    stop_sequences: list[str] | None = Field(default=None, description="Texts at which the completion stops.")
    return_token_log_probs: Bool | None = Field(
        default=False, description="Whether to return the tokens with their log probabilities."
    )
    presence_penalty: Float | None = Field(
        default=None, ge=0.0, le=2.0, description="Penalizes tokens that are in the text so far; 0 does not."
    )
    frequency_penalty: Float | None = Field(
        default=None, ge=0.0, le=2.0, description="Penalizes tokens by how often they are in the text so far."
    )
    top_k: Int | None = Field(
        default=None, ge=-1, description="How many of the likeliest tokens to consider; -1 is all of them."
    )
    top_p: Float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="The summed probability of the tokens to consider; 1 is all of them.",
    )
    include_stop_str_in_output: Bool | None = Field(
        default=None, description="Whether the text ends with the stop sequence that was met."
    )
    guided_json: dict[str, Any] | None = Field(
        default=None, description="A JSON Schema that the text shall follow."
    )
    guided_regex: str | None = Field(
        default=None, description="A regular expression that the text shall match."
    )
    guided_choice: list[str] | None = Field(
        default=None, description="The texts of which the completion shall be one."
    )
    guided_grammar: str | None = Field(
        default=None, description="A context-free grammar that the text shall follow."
    )
    skip_special_tokens: Bool | None = Field(
        default=True, description="Whether special tokens are left out of the text."
    )


class CompletionSyncV1Request(_CompletionRequest):
    """The body of `POST v1/llm/completions-sync`; the model's name is in the query."""


class CompletionStreamV1Request(_CompletionRequest):
    """The body of `POST v1/llm/completions-stream`; the model's name is in the query."""


class TokenOutput(Wire):
    """One generated token."""

    token: str = Field(description="The token's text.")
    log_prob: float = Field(description="The natural logarithm of the token's probability.")


class CompletionOutput(Wire):
    """The output of a completion request to a model."""

    text: str = Field(description="The text of the completion.")
    num_prompt_tokens: int | None = Field(default=None, description="Number of tokens in the prompt.")
    num_completion_tokens: int = Field(description="Number of tokens in the completion.")
    tokens: list[TokenOutput] | None = Field(
        default=None, description="The tokens, if their log probabilities were asked for."
    )


class CompletionSyncV1Response(Wire):
    """The answer to a completion request that is not streamed."""

    request_id: str = Field(description=_REQUEST_ID)
    output: CompletionOutput = Field(description="Completion output.")


class CompletionStreamOutput(Wire):
    """What one event of a stream adds to a completion."""

    text: str = Field(description="The piece of text that this event adds.")
    finished: bool = Field(description="Whether the completion is finished.")
    num_prompt_tokens: int | None = Field(default=None, description="Number of tokens in the prompt.")
    num_completion_tokens: int | None = Field(
        default=None, description="Number of tokens in the completion so far."
    )
    token: TokenOutput | None = Field(
        default=None, description="The token, if log probabilities were asked for."
    )


class CompletionStreamV1Response(Wire):
    """One event of a streamed completion: output, or an error that came after the start."""

    request_id: str = Field(description=_REQUEST_ID)
    output: CompletionStreamOutput | None = Field(default=None, description="Completion output.")
    error: StreamError | None = Field(default=None, description="What went wrong, if anything.")


CompletionSyncRequest: TypeAlias = CompletionSyncV1Request
CompletionSyncResponse: TypeAlias = CompletionSyncV1Response
CompletionStreamRequest: TypeAlias = CompletionStreamV1Request
CompletionStreamResponse: TypeAlias = CompletionStreamV1Response
