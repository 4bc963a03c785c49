"""Text completions."""

from __future__ import annotations

from paddock.clients.fireworks.api import CompletionResponse, CompletionStreamResponse
from paddock.clients.fireworks.base_completion import BaseCompletion


class Completion(BaseCompletion[CompletionResponse, CompletionStreamResponse]):
    """Class for handling text completions."""

    endpoint = "completions"
    response_class = CompletionResponse
    stream_response_class = CompletionStreamResponse
    _data_key = "prompt"
