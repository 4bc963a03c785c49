"""Keys in Paddock's own API, for whoever runs the server."""

from __future__ import annotations

import time
from typing import Any

import orjson
from pydantic import TypeAdapter

from paddock.errors import NotFound
from paddock.gateway.app import ANY_KEY, Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.query import flag
from paddock.gateway.validate import parse_whole
from paddock.schemas.own_keys import CreateKey, RotateKey, UpdateKey
from paddock.services import keys
from paddock.services.deployments import LOCAL
from paddock.services.keys import ADMIN, NewKey
from paddock.services.platform import Platform

JSON = dict[str, Any]
_CREATE, _UPDATE = TypeAdapter(CreateKey), TypeAdapter(UpdateKey)
_ROTATE = TypeAdapter(RotateKey)
_LIST = {"project": "only those of this project", "revoked": "true shows the revoked ones too"}
_EXAMPLE = {"name": "Ann", "project": "shop", "scopes": ["inference", "manage"]}
_CREATED = 201
_NO_STORE = b"cache-control: no-store\r\n"


def routes(platform: Platform) -> list[Route]:
    async def create(request: Request) -> Response:
        asked = parse_whole(_CREATE, request.body)
        identity, secret, now = keys.new_id(), keys.new_secret(), time.time()
        key = await platform.change(
            lambda session: keys.create(session, identity, secret, asked.project or LOCAL, _wish(asked), now)
        )
        return _answer({**keys.show(key), "secret": secret}, _CREATED)

    async def list_all(request: Request) -> Response:
        values = query_values(request, _LIST)
        project, revoked = values.get("project"), flag(values, "revoked")
        found = await platform.store.read(lambda session: keys.list_all(session, project, revoked=revoked))
        return _answer({"data": [keys.show(key) for key in found]})

    async def own(request: Request) -> Response:
        if not request.key.id:
            raise NotFound("this request came without a key", code="key_not_found")
        return _answer(keys.show(request.key))

    async def get(request: Request) -> Response:
        key = await platform.store.read(lambda session: keys.get(session, None, request.params["key"]))
        return _answer(keys.show(key))

    async def update(request: Request) -> Response:
        asked, now = parse_whole(_UPDATE, request.body), time.time()
        wish, identity = _wish(asked), request.params["key"]
        key = await platform.change(lambda session: keys.change(session, None, identity, wish, now))
        return _answer(keys.show(key))

    async def rotate(request: Request) -> Response:
        asked, identity = parse_whole(_ROTATE, request.body or b"{}"), request.params["key"]
        secret, now = keys.new_secret(), time.time()
        key = await platform.change(
            lambda session: keys.rotate(session, None, identity, secret, asked.keep_old_seconds, now)
        )
        return _answer({**keys.show(key), "secret": secret})

    async def revoke(request: Request) -> Response:
        identity, now = request.params["key"], time.time()
        key = await platform.change(lambda session: keys.revoke(session, None, identity, now))
        return _answer(keys.show(key))

    one = "/keys/{key}"
    return [
        Route("GET", "/keys", list_all, "All keys, without their secrets.", ADMIN, query=_LIST),
        Route(
            "POST",
            "/keys",
            create,
            "Make a key. Its secret is shown this once.",
            ADMIN,
            body=_CREATE,
            example=_EXAMPLE,
        ),
        Route("GET", "/keys/self", own, "The key that asks.", ANY_KEY),
        Route("GET", one, get, "One key.", ADMIN),
        Route("PATCH", one, update, "Change what is given of it.", ADMIN, body=_UPDATE),
        Route("DELETE", one, revoke, "Revoke it for ever.", ADMIN),
        Route("POST", f"{one}/revoke", revoke, "Revoke it for ever.", ADMIN),
        Route("POST", f"{one}/rotate", rotate, "Give it another secret.", ADMIN, body=_ROTATE),
    ]


def _wish(asked: CreateKey | UpdateKey) -> NewKey:
    given = asked.model_dump(exclude_unset=True)
    expires_at = given.get("expires_at")
    if "expires_at" in given and expires_at is None:
        expires_at = 0.0
    return NewKey(
        given.get("name"), given.get("scopes"), given.get("models"), given.get("limits"), expires_at
    )


def _answer(body: JSON, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, headers=_NO_STORE)
