"""What text and chat completions share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, Generic, Literal, TypeVar, overload

from pydantic import BaseModel

from paddock.clients.fireworks.connection import connect, connect_async
from paddock.clients.fireworks.error import InvalidRequestError
from paddock.clients.transport import Call

Response = TypeVar("Response", bound=BaseModel)
StreamResponse = TypeVar("StreamResponse", bound=BaseModel)
Parsed = TypeVar("Parsed", bound=BaseModel)


class BaseCompletion(Generic[Response, StreamResponse]):
    """Base class for handling completions: synchronous and asynchronous, streaming and not.

    Attributes:
        endpoint: API endpoint for the completion request.
        response_class: class used for parsing the non-streaming response.
        stream_response_class: class used for parsing the streaming response.
    """

    endpoint: str
    response_class: type[Response]
    stream_response_class: type[StreamResponse]
    _data_key: str

    @overload
    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        request_timeout: float | None = 600,
        stream: Literal[False] = False,
        **kwargs: Any,
    ) -> Response: ...

    @overload
    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        request_timeout: float | None = 600,
        *,
        stream: Literal[True],
        **kwargs: Any,
    ) -> Generator[StreamResponse]: ...

    @overload
    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        request_timeout: float | None = 600,
        stream: bool = False,
        **kwargs: Any,
    ) -> Response | Generator[StreamResponse]: ...

    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        request_timeout: float | None = 600,
        stream: bool = False,
        **kwargs: Any,
    ) -> Response | Generator[StreamResponse]:
        """Create a completion or chat completion.

        Args:
            model: model name to use for the completion.
            prompt_or_messages: the prompt for Completion (a string, a list of strings, or token ids), or a
                list of chat messages (dictionaries or `ChatMessage`) for ChatCompletion. If not given,
                `prompt` or `messages` must be.
            request_timeout: seconds without a byte from the server after which the call fails, and within
                which it is tried again; None waits for ever.
            stream: whether to use streaming or not.
            **kwargs: further fields of the request: `max_tokens`, `temperature`, `stop`, …

        Returns:
            The response; with `stream`, a generator of its pieces. The request is sent at the first `next`,
            and closing the generator ends the generation.

        Raises:
            FireworksError: see `paddock.clients.fireworks.error`.
        """
        body = cls._body(model, prompt_or_messages, stream, kwargs)
        transport = connect(request_timeout)
        if stream:
            return transport.stream(cls._call(body, cls.stream_response_class))
        return transport.request(cls._call(body, cls.response_class))

    @overload
    @classmethod
    def acreate(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        *,
        request_timeout: float | None = 600,
        stream: Literal[False] = False,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, Response]: ...

    @overload
    @classmethod
    def acreate(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        *,
        request_timeout: float | None = 600,
        stream: Literal[True],
        **kwargs: Any,
    ) -> AsyncGenerator[StreamResponse]: ...

    @overload
    @classmethod
    def acreate(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        *,
        request_timeout: float | None = 600,
        stream: bool = False,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, Response] | AsyncGenerator[StreamResponse]: ...

    @classmethod
    def acreate(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        *,
        request_timeout: float | None = 600,
        stream: bool = False,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, Response] | AsyncGenerator[StreamResponse]:
        """Asynchronously create a completion or chat completion.

        The arguments and errors are those of `create`.

        Returns:
            A coroutine for the response; with `stream`, an async generator of its pieces, which is not
            awaited: `async for piece in ChatCompletion.acreate(…, stream=True)`.
        """
        body = cls._body(model, prompt_or_messages, stream, kwargs)
        transport = connect_async(request_timeout)
        if stream:
            return transport.stream(cls._call(body, cls.stream_response_class))
        return transport.request(cls._call(body, cls.response_class))

    @classmethod
    def _call(cls, body: dict[str, Any], parsed: type[Parsed]) -> Call[Parsed]:
        # A generation whose connection broke was cancelled by the server, so asking again does no harm.
        return Call("POST", cls.endpoint, parsed.model_validate, body=body, repeatable=True)

    @classmethod
    def _body(cls, model: str, positional: Any, stream: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        key = cls._data_key
        other = "messages" if key == "prompt" else "prompt"
        if not isinstance(stream, bool):
            raise InvalidRequestError(f"stream value is not a valid boolean: {stream!r}")
        if other in kwargs:
            raise InvalidRequestError(f"{cls.__name__} takes {key}, not {other}")
        if positional is not None and kwargs.get(key) is not None:
            raise InvalidRequestError(f"{key} was given twice: by position and by name")
        data = kwargs.get(key) if positional is None else positional
        if data is None:
            raise InvalidRequestError(f"{key} must be provided")
        return {"model": model, **kwargs, key: data, "stream": stream}
