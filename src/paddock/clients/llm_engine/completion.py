"""Text completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import pydantic

from paddock.clients.llm_engine.api_engine import connect, connect_async, fields
from paddock.clients.llm_engine.batch_completion import BatchCompletion
from paddock.clients.llm_engine.data_types import (
    CompletionStreamResponse,
    CompletionStreamV1Request,
    CompletionSyncResponse,
    CompletionSyncV1Request,
)
from paddock.clients.llm_engine.errors import ValidationError
from paddock.clients.transport import Call

COMPLETION_TIMEOUT = 300

Parsed = TypeVar("Parsed", bound=pydantic.BaseModel)


class CompletionArguments(TypedDict, total=False):
    """What `create` and `acreate` take by name, beside `stream`; meanings as there."""

    max_new_tokens: int
    temperature: float
    stop_sequences: list[str] | None
    return_token_log_probs: bool | None
    presence_penalty: float | None
    frequency_penalty: float | None
    top_k: int | None
    top_p: float | None
    include_stop_str_in_output: bool | None
    guided_json: dict[str, Any] | None
    guided_regex: str | None
    guided_choice: list[str] | None
    guided_grammar: str | None
    timeout: float | None
    request_headers: Mapping[str, str] | None
    skip_special_tokens: bool | None


class Completion(BatchCompletion):
    """Generates text that continues a prompt, or in a batch, many prompts."""

    @overload
    @classmethod
    def create(
        cls,
        model: str,
        prompt: str,
        *,
        stream: Literal[False] = False,
        **arguments: Unpack[CompletionArguments],
    ) -> CompletionSyncResponse: ...

    @overload
    @classmethod
    def create(
        cls, model: str, prompt: str, *, stream: Literal[True], **arguments: Unpack[CompletionArguments]
    ) -> Generator[CompletionStreamResponse]: ...

    @overload
    @classmethod
    def create(
        cls, model: str, prompt: str, *args: Any, **kwargs: Any
    ) -> CompletionSyncResponse | Generator[CompletionStreamResponse]: ...

    @classmethod
    def create(
        cls,
        model: str,
        prompt: str,
        max_new_tokens: int = 20,
        temperature: float = 0.2,
        stop_sequences: list[str] | None = None,
        return_token_log_probs: bool | None = False,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        include_stop_str_in_output: bool | None = None,
        guided_json: dict[str, Any] | None = None,
        guided_regex: str | None = None,
        guided_choice: list[str] | None = None,
        guided_grammar: str | None = None,
        timeout: float | None = COMPLETION_TIMEOUT,
        stream: bool = False,
        request_headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> CompletionSyncResponse | Generator[CompletionStreamResponse]:
        """Create a completion of a prompt.

        Args:
            model: name of the model endpoint to ask.
            prompt: the text to continue.
            max_new_tokens: how many tokens to generate at most, 1 or more.
            temperature: the sampling temperature, from 0 (always the likeliest token) to 1.
            stop_sequences: texts at which the completion stops.
            return_token_log_probs: whether to return the tokens with their log probabilities.
            presence_penalty: from 0 to 2; penalizes tokens that are in the text so far.
            frequency_penalty: from 0 to 2; penalizes tokens by how often they are in the text so far.
            top_k: how many of the likeliest tokens to consider; -1 is all of them.
            top_p: the summed probability of the tokens to consider, above 0 and up to 1.
            include_stop_str_in_output: whether the text ends with the stop sequence that was met.
            guided_json: a JSON Schema that the text shall follow.
            guided_regex: a regular expression that the text shall match.
            guided_choice: the texts of which the completion shall be one.
            guided_grammar: a context-free grammar that the text shall follow.
            timeout: seconds without a byte from the server after which the call fails, and within which it
                is tried again; None waits for ever.
            stream: whether to use streaming or not.
            request_headers: sent beside this client's own, or in their place.
            **kwargs: further fields of the request: `skip_special_tokens`, and what the server knows more.

        Returns:
            The response; with `stream`, a generator of its pieces. The request is sent at the first `next`,
            and closing the generator ends the generation.

        Raises:
            LLMEngineError: see `paddock.clients.llm_engine.errors`.
        """
        given = {
            "prompt": prompt,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "stop_sequences": stop_sequences,
            "return_token_log_probs": return_token_log_probs,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "top_k": top_k,
            "top_p": top_p,
            "include_stop_str_in_output": include_stop_str_in_output,
            "guided_json": guided_json,
            "guided_regex": guided_regex,
            "guided_choice": guided_choice,
            "guided_grammar": guided_grammar,
            **kwargs,
        }
        transport = connect(timeout)
        if _is_true(stream):
            return transport.stream(_stream_call(model, given, request_headers))
        return transport.request(_call(model, given, request_headers))

    @overload
    @classmethod
    async def acreate(
        cls,
        model: str,
        prompt: str,
        *,
        stream: Literal[False] = False,
        **arguments: Unpack[CompletionArguments],
    ) -> CompletionSyncResponse: ...

    @overload
    @classmethod
    async def acreate(
        cls, model: str, prompt: str, *, stream: Literal[True], **arguments: Unpack[CompletionArguments]
    ) -> AsyncGenerator[CompletionStreamResponse]: ...

    @overload
    @classmethod
    async def acreate(
        cls, model: str, prompt: str, *args: Any, **kwargs: Any
    ) -> CompletionSyncResponse | AsyncGenerator[CompletionStreamResponse]: ...

    @classmethod
    async def acreate(
        cls,
        model: str,
        prompt: str,
        max_new_tokens: int = 20,
        temperature: float = 0.2,
        stop_sequences: list[str] | None = None,
        return_token_log_probs: bool | None = False,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        include_stop_str_in_output: bool | None = None,
        guided_json: dict[str, Any] | None = None,
        guided_regex: str | None = None,
        guided_choice: list[str] | None = None,
        guided_grammar: str | None = None,
        timeout: float | None = COMPLETION_TIMEOUT,
        stream: bool = False,
        request_headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> CompletionSyncResponse | AsyncGenerator[CompletionStreamResponse]:
        """Asynchronously create a completion of a prompt.

        The arguments and errors are those of `create`.

        Returns:
            The response; with `stream`, an async generator of its pieces, which is awaited first:
            `async for piece in await Completion.acreate(…, stream=True)`.
        """
        given = {
            "prompt": prompt,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "stop_sequences": stop_sequences,
            "return_token_log_probs": return_token_log_probs,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "top_k": top_k,
            "top_p": top_p,
            "include_stop_str_in_output": include_stop_str_in_output,
            "guided_json": guided_json,
            "guided_regex": guided_regex,
            "guided_choice": guided_choice,
            "guided_grammar": guided_grammar,
            **kwargs,
        }
        transport = connect_async(timeout)
        if _is_true(stream):
            return transport.stream(_stream_call(model, given, request_headers))
        return await transport.request(_call(model, given, request_headers))


def _call(
    model: str, given: dict[str, Any], headers: Mapping[str, str] | None
) -> Call[CompletionSyncResponse]:
    body = fields(CompletionSyncV1Request, given)
    return _post("v1/llm/completions-sync", model, body, CompletionSyncResponse, headers)


def _stream_call(
    model: str, given: dict[str, Any], headers: Mapping[str, str] | None
) -> Call[CompletionStreamResponse]:
    body = fields(CompletionStreamV1Request, given)
    return _post("v1/llm/completions-stream", model, body, CompletionStreamResponse, headers)


def _post(
    path: str, model: str, body: dict[str, Any], parsed: type[Parsed], headers: Mapping[str, str] | None
) -> Call[Parsed]:
    if not isinstance(model, str) or not model:
        raise ValidationError(f"model must be the name of a model endpoint, not {model!r}")
    params = {"model_endpoint_name": model}
    # A generation whose connection broke was cancelled by the server, so asking again does no harm.
    return Call(
        "POST", path, parsed.model_validate, body=body, params=params, headers=headers, repeatable=True
    )


def _is_true(stream: Any) -> bool:
    if not isinstance(stream, bool):
        raise ValidationError(f"stream must be True or False, not {stream!r}")
    return stream
