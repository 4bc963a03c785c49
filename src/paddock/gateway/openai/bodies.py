"""What checks the bodies of this dialect's requests, whichever way they come."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from paddock.schemas.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest

CHAT: TypeAdapter[Any] = TypeAdapter(ChatCompletionRequest)
COMPLETION: TypeAdapter[Any] = TypeAdapter(CompletionRequest)
EMBEDDING: TypeAdapter[Any] = TypeAdapter(EmbeddingRequest)
