"""Answers of the Fireworks dialect: completions, chat completions, models.

The contract is the published client's reference (`fireworks.client.api` of fireworks-ai 0.9.0). Where its
text slips against that client, the client wins: `logprobs` is an object, and the chunks of a chat stream
say `chat.completion.chunk`. Fields that are not named here are kept, so that a server may grow.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_FINISH = (
    '"stop" if the model hit a natural stop point or a stop sequence, "length" if max_tokens or the context '
    'ran out, "tool_calls" if it called a tool, "error" if generating failed; null while it goes on.'
)


class _Wire(BaseModel):
    # Schemas are built when a class is first used: importing this module then costs next to nothing.
    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=())


class LogProbs(_Wire):
    """Log probabilities of generated tokens; entry i of every list belongs to token i.

    A chat answer in OpenAI's shape (`{"content": [{"token", "logprob", "top_logprobs"}]}`) fills the same
    fields.
    """

    tokens: list[str] = Field(default_factory=list, description="The tokens, as text.")
    token_logprobs: list[float | None] = Field(
        default_factory=list,
        description="Natural logarithm of each token's probability; null where there is none.",
    )
    top_logprobs: list[dict[str, float] | None] | None = Field(
        default_factory=list, description="At each token, the likeliest tokens and their log probabilities."
    )
    text_offset: list[int] = Field(
        default_factory=list, description="Where each token begins in the text, in characters."
    )
    token_ids: list[int] | None = Field(
        default=None, description="The tokens' ids, if the server sends them."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "tokens" in value or not isinstance(value.get("content"), list):
            return value
        entries = value["content"]
        return {
            **value,
            "tokens": [entry["token"] for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": [
                {top["token"]: top["logprob"] for top in entry.get("top_logprobs") or ()} for entry in entries
            ],
        }


class UsageInfo(_Wire):
    """Usage statistics, in tokens."""

    prompt_tokens: int = Field(description="The number of tokens in the prompt.")
    total_tokens: int = Field(description="The tokens of prompt and completion together.")
    completion_tokens: int | None = Field(
        default=None, description="The number of tokens in the generated completion."
    )


class Choice(_Wire):
    """A completion choice."""

    index: int = Field(description="The index of the completion choice.")
    text: str = Field(description="The completion response.")
    logprobs: LogProbs | None = Field(
        default=None, description="The log probabilities of the most likely tokens, if they were asked for."
    )
    finish_reason: str | None = Field(default=None, description=_FINISH)


class CompletionResponse(_Wire):
    """The response message from a /v1/completions call."""

    id: str = Field(description="A unique identifier of the response.")
    object: str = Field(default="text_completion", description='Always "text_completion".')
    created: int = Field(description="The Unix time in seconds when the response was generated.")
    model: str = Field(description="The model used for the completion.")
    choices: list[Choice] = Field(description="The list of generated completion choices.")
    usage: UsageInfo | None = Field(default=None, description="Usage statistics for the completion.")


class CompletionResponseStreamChoice(_Wire):
    """A streamed completion choice."""

    index: int = Field(description="The index of the completion choice.")
    text: str = Field(description="The piece of the completion that this event adds.")
    logprobs: LogProbs | None = Field(
        default=None, description="The log probabilities of this piece's tokens, if they were asked for."
    )
    finish_reason: str | None = Field(default=None, description=_FINISH)


class CompletionStreamResponse(_Wire):
    """The streamed response message from a /v1/completions call."""

    id: str = Field(description="A unique identifier of the response, the same in all of its events.")
    object: str = Field(default="text_completion", description='Always "text_completion".')
    created: int = Field(description="The Unix time in seconds when the response was generated.")
    model: str = Field(description="The model used for the completion.")
    choices: list[CompletionResponseStreamChoice] = Field(
        description="The list of streamed completion choices."
    )
    usage: UsageInfo | None = Field(
        default=None, description="Usage of the whole completion, in the last event."
    )


class Model(_Wire):
    """A model that the server can run."""

    id: str = Field(description="The model name.")
    object: str = Field(default="model", description='Always "model".')
    created: int = Field(default=0, description="The Unix time in seconds when the model was generated.")
    owned_by: str = Field(default="", description="The organization or account that owns the model.")


class ListModelsResponse(_Wire):
    """The response message from a /v1/models call."""

    object: str = Field(default="list", description='Always "list".')
    data: list[Model] = Field(description="The list of models.")


class ChatCompletionMessageToolCallFunction(_Wire):
    """The function that a tool call names."""

    name: str | None = Field(default=None, description="Its name; null in later events of a stream.")
    arguments: str = Field(default="", description="Its arguments as JSON text, or the next piece of it.")


class ChatCompletionMessageToolCall(_Wire):
    """A call of a tool that the model asks for."""

    index: int = Field(default=0, description="Which call of the message this is, or adds to in a stream.")
    id: str = Field(default="", description="What the answering message repeats as `tool_call_id`.")
    type: str = Field(default="function", description='Always "function".')
    function: ChatCompletionMessageToolCallFunction | str = Field(description="What to call.")


class ChatMessageContentImageURL(_Wire):
    """Where an image is."""

    url: str = Field(description="An http(s) or data URL.")


class ChatMessageContent(_Wire):
    """One part of a message that is made of several."""

    type: str = Field(description='"text" or "image_url".')
    text: str | None = None
    image_url: ChatMessageContentImageURL | None = None


class ChatMessage(_Wire):
    """A chat completion message."""

    role: str = Field(description='The role of the author: "system", "user", "assistant" or "tool".')
    content: str | list[ChatMessageContent] | None = Field(
        default=None, description="The contents of the message; null when it only calls tools."
    )
    tool_calls: list[ChatCompletionMessageToolCall] | None = Field(
        default=None, description="The tools that the assistant calls."
    )
    tool_call_id: str | None = Field(default=None, description="Which call a tool's message answers.")
    function: ChatCompletionMessageToolCallFunction | None = None


class ChatCompletionFunction(_Wire):
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict, description="Its arguments, as a JSON Schema.")


class ChatCompletionTool(_Wire):
    """A tool that the model may use."""

    type: Literal["function"] = Field(description="Only `function` is supported.")
    function: ChatCompletionFunction


class ChatCompletionResponseChoice(_Wire):
    """A chat completion choice generated by a chat model."""

    index: int = Field(description="The index of the chat completion choice.")
    message: ChatMessage = Field(description="The chat completion message.")
    finish_reason: str | None = Field(default=None, description=_FINISH)
    logprobs: LogProbs | None = Field(default=None, description="Log probabilities, if they were asked for.")


class ChatCompletionResponse(_Wire):
    """The response message from a /v1/chat/completions call."""

    id: str = Field(description="A unique identifier of the response.")
    object: str = Field(default="chat.completion", description='Always "chat.completion".')
    created: int = Field(description="The Unix time in seconds when the response was generated.")
    model: str = Field(description="The model used for the chat completion.")
    choices: list[ChatCompletionResponseChoice] = Field(description="The list of chat completion choices.")
    usage: UsageInfo | None = Field(default=None, description="Usage statistics for the chat completion.")


class DeltaMessage(_Wire):
    """What one event of a stream adds to a message."""

    role: str | None = Field(default=None, description="The role of the author; in the first event only.")
    content: str | None = Field(default=None, description="The contents of the chunk message.")
    tool_calls: list[ChatCompletionMessageToolCall] | None = Field(
        default=None, description="Pieces of tool calls; those with one `index` belong together."
    )
    function: str | None = None


class ChatCompletionResponseStreamChoice(_Wire):
    """A streamed chat completion choice."""

    index: int = Field(description="The index of the chat completion choice.")
    delta: DeltaMessage = Field(description="The message delta.")
    finish_reason: str | None = Field(default=None, description=_FINISH)
    logprobs: LogProbs | None = Field(default=None, description="Log probabilities, if they were asked for.")


class ChatCompletionStreamResponse(_Wire):
    """The streamed response message from a /v1/chat/completions call."""

    id: str = Field(description="A unique identifier of the response, the same in all of its events.")
    object: str = Field(default="chat.completion.chunk", description='Always "chat.completion.chunk".')
    created: int = Field(description="The Unix time in seconds when the response was generated.")
    model: str = Field(description="The model used for the chat completion.")
    choices: list[ChatCompletionResponseStreamChoice] = Field(
        description="The list of streamed chat completion choices."
    )
    usage: UsageInfo | None = Field(default=None, description="Usage of the whole answer, in the last event.")
