"""The rows of a batch: prompts are asked as `completions-sync` asks, requests as the second version's routes.

All outputs have their own shapes; an error stands in the place of the output that it prevented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from paddock.engines.parameters import plan
from paddock.errors import InvalidRequest, PaddockError
from paddock.gateway import accounts as accounting
from paddock.gateway import whole
from paddock.gateway.accounts import Accounts, admit
from paddock.gateway.engine_errors import refused
from paddock.gateway.http import Request
from paddock.gateway.llm_engine.completions import OUR_NAMES, neutral
from paddock.gateway.llm_engine.errors import own_fields
from paddock.gateway.llm_engine.outputs import output
from paddock.inference import relay
from paddock.inference.deployment import Deployment
from paddock.inference.relay import EngineRefused
from paddock.inference.rows import Answer, AskOpenAI
from paddock.schemas.llm_engine import CompletionSyncV1Request

JSON = dict[str, Any]
CHATS, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_PATH = "/v1/llm/completions-sync"
_ANSWERED_BY_MODEL = "assistant"


class LLMEngineRows:
    """`inference.rows.Rows` of both versions, which the second one's content may be as well.

    Rows are what `control.batches.read_llm_engine` writes: a JSON string is a prompt, an object a request.
    Of what was asked for it needs `fields`, which go with all prompts, and `asked.model_config`.

    Args:
        ask_openai: asks what is in OpenAI's shapes.
        accounts: who counts what they use; None if nobody does.
    """

    def __init__(self, ask_openai: AskOpenAI, accounts: Accounts | None = None) -> None:
        self._ask_openai = ask_openai
        self._accounts = accounts

    async def ask(self, spec: Mapping[str, Any], deployment: Deployment, row: bytes, number: int) -> Answer:
        """
        Raises:
            PaddockError: what the route would answer with instead.
        """
        config = spec["asked"]["model_config"]
        if _is_prompt(row):
            async with accounting.row(self._accounts, _PATH, spec) as request:
                return await _complete(
                    request, spec["fields"], config.get("seed"), deployment, orjson.loads(row)
                )
        body = _body(orjson.loads(row), config, deployment)
        said = await self._ask_openai(spec, COMPLETIONS if "prompt" in body else CHATS, body, deployment)
        role = config.get("response_role")
        answer = said.body if role in (None, _ANSWERED_BY_MODEL) else _with_role(said.body, role)
        # A line end in JSON, outside its texts, is but a blank.
        return Answer(answer.replace(b"\n", b" ").replace(b"\r", b" "), tokens=said.tokens)

    def error(self, spec: Mapping[str, Any], row: bytes, number: int, error: PaddockError) -> Answer:
        """In the place of a `CompletionOutput` an empty one that says why, which parses as one too; in that
        of a response the body of an error.
        """
        if _is_prompt(row):
            said: JSON = {
                "text": "",
                "num_prompt_tokens": None,
                "num_completion_tokens": 0,
                "tokens": None,
                "error": {"code": error.code, "message": error.message},
            }
        else:
            kind = "invalid_request_error" if error.status < 500 else "server_error"
            told = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
            said = {"error": told}
        return Answer(orjson.dumps(said), failed=True)


def _is_prompt(row: bytes) -> bool:
    return row.startswith(b'"')


async def _complete(
    request: Request, fields: JSON, seed: int | None, deployment: Deployment, prompt: str
) -> Answer:
    # They were checked when they were read, all but the prompt.
    body = CompletionSyncV1Request.model_construct(**fields, prompt=prompt)
    request.body = prompt.encode()
    await admit(request, deployment, body.max_new_tokens)
    with own_fields(OUR_NAMES):
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
    record = request.record
    return Answer(orjson.dumps(said), tokens=record.prompt_tokens + record.completion_tokens)


def _body(row: JSON, config: Mapping[str, Any], deployment: Deployment) -> JSON:
    """A request as OpenAI's endpoints take it: without nulls, which count as not sent, and with the batch's
    seed.

    Raises:
        InvalidRequest: it asks for another model than the batch.
    """
    body = {name: value for name, value in row.items() if value is not None}
    model = body.pop("model", None)
    if model not in (None, config["model"], deployment.name, deployment.model):
        raise InvalidRequest(
            f"model must be {config['model']!r}, the batch's, or left out, not {str(model)[:200]!r}",
            param="model",
        )
    if config.get("seed") is not None:
        body.setdefault("seed", config["seed"])
    wanted = body.get("response_format")
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if isinstance(described, dict) and "schema_" in described:
        # The published client's own name for it, which it does not translate.
        described["schema"] = described.pop("schema_")
    return body


def _with_role(answer: bytes, role: str) -> bytes:
    said = orjson.loads(answer)
    for choice in said["choices"]:
        if "message" in choice:
            choice["message"]["role"] = role
    return orjson.dumps(said)
