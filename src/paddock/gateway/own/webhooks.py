"""Webhooks in Paddock's own API: whom to tell what happens, and what became of that."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter

from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.gateway.validate import parse_whole
from paddock.schemas.webhooks import CreateWebhook, UpdateWebhook, Webhook
from paddock.services.keys import MANAGE
from paddock.services.platform import Platform
from paddock.services.webhooks import hooks

_CREATE = TypeAdapter(CreateWebhook)
_UPDATE = TypeAdapter(UpdateWebhook)
_LIST: TypeAdapter[Any] = TypeAdapter(dict[str, list[Webhook]])
_EXAMPLE = {"url": "https://example.com/hooks", "events": ["batch.*", "fine_tuning.job.*"]}


def routes(platform: Platform) -> list[Route]:
    async def create(request: Request) -> Response:
        asked = parse_whole(_CREATE, request.body)
        return _answer(await hooks.create(platform, request.project, asked), 201)

    async def list_all(request: Request) -> Response:
        return Response(_LIST.dump_json({"data": await hooks.list_all(platform, request.project)}))

    async def get(request: Request) -> Response:
        return _answer(await hooks.get(platform, request.project, request.params["webhook"]))

    async def update(request: Request) -> Response:
        asked = parse_whole(_UPDATE, request.body)
        return _answer(await hooks.update(platform, request.project, request.params["webhook"], asked))

    async def remove(request: Request) -> Response:
        return _answer(await hooks.remove(platform, request.project, request.params["webhook"]))

    async def test(request: Request) -> Response:
        return _answer(await hooks.test(platform, request.project, request.params["webhook"]))

    async def retry(request: Request) -> Response:
        webhook, delivery = request.params["webhook"], request.params["delivery"]
        return _answer(await hooks.retry(platform, request.project, webhook, delivery))

    async def secret(request: Request) -> Response:
        return Response(orjson.dumps({"secret": await hooks.project_secret(platform, request.project)}))

    async def renew_secret(request: Request) -> Response:
        return Response(orjson.dumps({"secret": await hooks.renew_project_secret(platform, request.project)}))

    one, signing = "/webhooks/{webhook}", "/webhooks/callback-secret"
    again = one + "/deliveries/{delivery}/retry"
    found = [
        Route("GET", "/webhooks", list_all, "All webhooks of the project."),
        Route("POST", "/webhooks", create, "Make one; shows its secret.", body=_CREATE, example=_EXAMPLE),
        Route("GET", signing, secret, "What callbacks of model endpoints are signed with."),
        Route("POST", signing, renew_secret, "Another one, from now on."),
        Route("GET", one, get, "One webhook, with its latest deliveries."),
        Route("PATCH", one, update, "Change what is given.", body=_UPDATE, example={"events": ["*"]}),
        Route("DELETE", one, remove, "Tell it nothing more, and forget it."),
        Route("POST", f"{one}/test", test, "Send it a webhook.test event now."),
        Route("POST", again, retry, "Send one of its deliveries again, now."),
    ]
    # Addresses of receivers are often secret, and the one secret that can be read is for whoever made them.
    return [dataclasses.replace(route, scope=MANAGE) for route in found]


def _answer(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json().encode(), status)
