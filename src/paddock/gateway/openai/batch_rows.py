"""The rows of an OpenAI batch: asked as its endpoints are, and answered in the lines of its two files."""

from __future__ import annotations

from collections.abc import Mapping
from os import urandom
from typing import Any

import orjson

from paddock.errors import PaddockError
from paddock.gateway import accounts as accounting
from paddock.gateway.accounts import Accounts
from paddock.gateway.http import Request, Response
from paddock.gateway.openai.bodies import CHAT, COMPLETION, EMBEDDING
from paddock.gateway.openai.embed import embed
from paddock.gateway.openai.errors import error_body
from paddock.gateway.openai.generate import generate
from paddock.gateway.openai.streams import ENDING
from paddock.gateway.validate import parse
from paddock.inference.routing import Deployment, Routes
from paddock.inference.rows import Answer, Said

JSON = dict[str, Any]
CHATS, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
_BODIES = {CHATS: CHAT, COMPLETIONS: COMPLETION, EMBEDDINGS: EMBEDDING}
_NEVER_ASKED = frozenset({"batch_cancelled", "batch_expired"})
_ANSWERED = (
    b'{"id":"batch_req_%b","custom_id":%b,"response":{"status_code":%d,"request_id":"%b","body":%b},'
    b'"error":null}'
)
_UNANSWERED = b'{"id":"batch_req_%b","custom_id":%b,"response":null,"error":%b}'


class OpenAIRows:
    """`inference.rows.Rows` for lines that were checked: each has a `custom_id` and a `body`.

    Args:
        accounts: who counts what they use; None if nobody does.
    """

    def __init__(self, accounts: Accounts | None = None) -> None:
        self._accounts = accounts

    async def ask(self, spec: Mapping[str, Any], deployment: Deployment, row: bytes, number: int) -> Answer:
        """The answer that the endpoint gives to the line's body, whatever its `model` calls the deployment.

        Raises:
            PaddockError: what the endpoint answers with instead.
        """
        line = orjson.loads(row)
        said = await self.answer(spec, spec["endpoint"], line["body"], deployment)
        return Answer(_answered(line["custom_id"], 200, said.request_id, said.body), tokens=said.tokens)

    async def answer(
        self, spec: Mapping[str, Any], endpoint: str, body: JSON, deployment: Deployment
    ) -> Said:
        """What the endpoint says to a body, whatever its `model` calls the deployment.

        Raises:
            PaddockError: what the endpoint answers with instead.
        """
        async with accounting.row(self._accounts, endpoint, spec) as request:
            request.body = orjson.dumps({**body, "model": deployment.name})
            fields = parse(_BODIES[endpoint], request.body)
            response = await _respond(request, endpoint, fields, Routes([deployment]))
            record = request.record
            return Said(request.id, response.body, record.prompt_tokens + record.completion_tokens)

    def error(self, spec: Mapping[str, Any], row: bytes, number: int, error: PaddockError) -> Answer:
        """A line of the error file, as OpenAI has it: a request that was answered with an error keeps that
        as its response, one that was never asked has none.
        """
        custom_id = orjson.loads(row)["custom_id"]
        if error.code in _NEVER_ASKED:
            said = orjson.dumps({"code": error.code, "message": error.message})
            return Answer(_UNANSWERED % (_random_id(), orjson.dumps(custom_id), said), failed=True)
        body = _answered(custom_id, error.status, urandom(16).hex(), error_body(error))
        return Answer(body, failed=True)


async def _respond(request: Request, endpoint: str, fields: JSON, routes: Routes) -> Response:
    if endpoint == EMBEDDINGS:
        return await embed(request, fields, routes)
    response = await generate(request, fields, routes, chat=endpoint == CHATS, fireworks=False, ending=ENDING)
    assert response is not None, "lines that ask for a stream are refused before"
    return response


def _answered(custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    # Outside its texts, where there is none, a line end in JSON is but a blank.
    body = body.replace(b"\n", b" ").replace(b"\r", b" ")
    return _ANSWERED % (_random_id(), orjson.dumps(custom_id), status, request_id.encode(), body)


def _random_id() -> bytes:
    return urandom(12).hex().encode()
