"""Chat completions."""

from __future__ import annotations

from paddock.clients.fireworks.api import ChatCompletionResponse, ChatCompletionStreamResponse
from paddock.clients.fireworks.base_completion import BaseCompletion


class ChatCompletion(BaseCompletion[ChatCompletionResponse, ChatCompletionStreamResponse]):
    """Class for handling chat completions."""

    endpoint = "chat/completions"
    response_class = ChatCompletionResponse
    stream_response_class = ChatCompletionStreamResponse
    _data_key = "messages"
