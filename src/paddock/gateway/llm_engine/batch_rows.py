"""The rows of an LLM Engine batch: prompts, which the batch's fields go with, or requests of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from paddock.engines.parameters import plan
from paddock.errors import InvalidRequest, PaddockError
from paddock.gateway import whole
from paddock.gateway.engine_errors import refused
from paddock.gateway.llm_engine.completions import NAMES, neutral
from paddock.gateway.llm_engine.errors import own_fields
from paddock.gateway.llm_engine.outputs import output
from paddock.gateway.nobody import unsent
from paddock.inference import relay
from paddock.inference.relay import EngineRefused
from paddock.inference.routing import Deployment
from paddock.inference.rows import Answer, AskOpenAI
from paddock.schemas.llm_engine import CompletionSyncV1Request

JSON = dict[str, Any]
CHATS, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


class LLMEngineRows:
    """`inference.rows.Rows` for both versions.

    Args:
        ask: OpenAI's endpoints, which requests of their own go to.
    """

    def __init__(self, ask: AskOpenAI) -> None:
        self._ask = ask

    async def ask(self, spec: Mapping[str, Any], deployment: Deployment, row: bytes, number: int) -> Answer:
        """A `CompletionOutput` to a prompt, and the endpoint's answer to a request.

        Raises:
            PaddockError: it has none.
        """
        content = orjson.loads(row)
        seed = spec["asked"]["model_config"].get("seed")
        if isinstance(content, str):
            return await _complete(spec["fields"], seed, deployment, content)
        body = _openai_body(content)
        if seed is not None:
            body.setdefault("seed", seed)
        said = await self._ask(CHATS if "messages" in body else COMPLETIONS, body, deployment)
        return Answer(said.body.replace(b"\n", b" ").replace(b"\r", b" "), tokens=said.tokens)

    def error(self, spec: Mapping[str, Any], row: bytes, number: int, error: PaddockError) -> Answer:
        """An output without text that says why, or an error as OpenAI's endpoints have it."""
        if isinstance(orjson.loads(row), str):
            why: JSON = {"code": error.code, "message": error.message}
            said: JSON = {"text": "", "num_prompt_tokens": None, "num_completion_tokens": 0, "tokens": None}
            return Answer(orjson.dumps({**said, "error": why}), failed=True)
        kind = "invalid_request_error" if isinstance(error, InvalidRequest) else "server_error"
        detail = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
        return Answer(orjson.dumps({"error": detail}), failed=True)


async def _complete(fields: JSON, seed: int | None, deployment: Deployment, prompt: str) -> Answer:
    """As `completions-sync` does."""
    body = CompletionSyncV1Request.model_validate({**fields, "prompt": prompt})
    request = unsent(COMPLETIONS)
    with own_fields(NAMES):
        asked = neutral(body, attached=deployment.engine == "attached", stream=False)
        if seed is not None:
            asked["seed"] = seed
        planned = await plan(deployment, asked, chat=False)
    try:
        answer = await whole.answer(request, deployment, planned, chat=False)
    except EngineRefused as error:
        raise refused(error, "prompt") from None
    try:
        said = output(answer, with_tokens=bool(body.return_token_log_probs))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise relay.broken_answer(f"{type(error).__name__} while reading it") from error
    tokens = request.record.prompt_tokens + request.record.completion_tokens
    return Answer(orjson.dumps(said), tokens=tokens)


def _openai_body(content: JSON) -> JSON:
    """The request as OpenAI's endpoints take it."""
    body = {name: value for name, value in content.items() if value is not None}
    described = (body.get("response_format") or {}).get("json_schema")
    if isinstance(described, dict) and "schema_" in described:
        # The published client's own name for it, which it does not translate.
        described["schema"] = described.pop("schema_")
    return body
