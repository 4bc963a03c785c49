"""Every route of every dialect, asked by those who may not: no server error, the right one of 401, 403 and
404 in the dialect's shape, and never a hint that something is there which belongs to another project.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paddock.gateway.app import ANY_KEY, PUBLIC, Mount, Route
from paddock.services import keys
from paddock.services.keys import ADMIN, INFERENCE, MANAGE
from tests.api.two_projects import TwoProjects, serving_two

UPLOADS = (("POST", "/v1/files"), ("POST", "/llm-engine/v1/files"))
TOKEN = "/cortecs/api/v1/oauth2/token"
READY = ("/healthz", "/readyz", "/llm-engine/healthz", "/llm-engine/readyz")
RUBBISH = {
    "latin-1": b"Bearer caf\xe9",
    "no UTF-8": b"Bearer \xff\xfe\xfd",
    "a secret with more": b"Bearer paddock_\xc3\xa9\xf0\x9f\x90\xb4",
    "no base64": b"Basic %%%%",
    "base64 of half": b"Basic YQ",
    "base64 of bytes": b"Basic " + base64.b64encode(bytes(range(256))),
    "base64 of nothing": b"Basic",
    "empty": b"",
    "no scheme": b"paddock_" + b"A" * 43,
    "another scheme": b'Digest username="a"',
    "a token": b"Bearer paddock_token.key-0.99999999999.0",
    "half a token": b"Bearer paddock_token..",
    "giant": b"Bearer " + b"A" * 16_000,
}


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[TwoProjects]:
    async with serving_two(tmp_path) as gateway:
        yield gateway


def path_of(mount: Mount, route: Route, **ids: str) -> str:
    """With `none` for each id that is not given."""
    return re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], "none"), mount.prefix + route.pattern)


def said(mount: Mount, answer: httpx2.Response) -> str:
    """What an error says, once it has the shape of its dialect."""
    body = answer.json()
    if mount.prefix.startswith("/llm-engine"):
        assert set(body) == {"detail"}, body
        return str(body["detail"])
    assert set(body) == {"error"}, body
    assert set(body["error"]) == {"message", "type", "param", "code"}, body
    return str(body["error"]["message"])


async def ask(
    on: TwoProjects, mount: Mount, route: Route, headers: Any, body: Any = None, **ids: str
) -> httpx2.Response:
    """With this body, by default the example of the route."""
    path = path_of(mount, route, **ids)
    more: dict[str, Any] = {}
    if route.method in ("POST", "PUT", "PATCH"):
        more["content"] = json.dumps(route.example or {} if body is None else body)
    if (route.method, path) in UPLOADS:
        more = {"files": {"file": ("a", b"a")}}
    return await on.client.request(route.method, path, headers=headers, **more)


class TestNoGoodKey:
    async def expect_401(self, on: TwoProjects, headers: Any) -> None:
        wrong = {}
        for mount, route in on.routes():
            answer = await ask(on, mount, route, headers)
            path = mount.prefix + route.pattern
            if path == TOKEN:
                # The credentials of its example are no key's, or its header is not one.
                good = answer.status_code in (400, 401) and bool(said(mount, answer))
            elif route.needs == PUBLIC:
                good = answer.status_code not in (401, 403) and (answer.status_code < 500 or path in READY)
            else:
                good = answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
                good = good and bool(said(mount, answer))
            if not good:
                wrong[f"{route.method} {path}"] = f"{answer.status_code} {answer.text}"
        assert not wrong

    async def test_none(self, on: TwoProjects) -> None:
        await self.expect_401(on, {})

    async def test_a_wrong_one(self, on: TwoProjects) -> None:
        await self.expect_401(on, {"authorization": f"Bearer {keys.new_secret()}"})
        await self.expect_401(on, {"x-api-key": "sk-123"})

    async def test_a_revoked_one(self, on: TwoProjects) -> None:
        key, secret = await on.key("shop")
        await on.platform.change(lambda session: keys.revoke(session, None, key.id, 1.0))
        await self.expect_401(on, {"authorization": f"Bearer {secret}"})

    @pytest.mark.parametrize("kind", RUBBISH)
    async def test_rubbish(self, on: TwoProjects, kind: str) -> None:
        await self.expect_401(on, [(b"authorization", RUBBISH[kind])])

    async def test_giant_headers_are_refused_before_anything_is_looked_up(self, on: TwoProjects) -> None:
        wrong = {}
        for mount, route in on.routes():
            for name in (b"authorization", b"x-api-key"):
                answer = await ask(on, mount, route, [(name, b"Bearer " + b"A" * 65_536)])
                if answer.status_code != 431 or "message" not in answer.text:
                    wrong[f"{route.method} {mount.prefix}{route.pattern}"] = answer.text
        assert not wrong


class TestScopes:
    async def test_each_route_wants_its_own(self, on: TwoProjects) -> None:
        """403 says which one is missing; with it, whatever is wrong is wrong with the request."""
        secrets = {
            scopes: (await on.key("shop", *scopes))[1]
            for scopes in ((INFERENCE,), (MANAGE,), (INFERENCE, MANAGE), (ADMIN,))
        }
        wrong = {}
        for mount, route in on.routes():
            for scopes, secret in secrets.items():
                answer = await ask(on, mount, route, {"x-api-key": secret}, {})
                status, path = answer.status_code, mount.prefix + route.pattern
                if route.needs in (PUBLIC, ANY_KEY, *scopes) or ADMIN in scopes:
                    good = status < 500 or path in READY
                    # What changes files and jobs looks at them before it says who may.
                    good = good and (status != 403 or route.needs == ANY_KEY)
                    good = good and (status != 401 or path == TOKEN)
                else:
                    good = status == 403 and repr(route.needs) in said(mount, answer)
                if not good:
                    wrong[f"{scopes} {route.method} {path}"] = f"{status} {answer.text}"
        assert not wrong


class TestAnothersThings:
    async def test_they_are_as_if_they_were_not_there(self, on: TwoProjects) -> None:
        _, theirs = await on.key("farm")
        await on.make(theirs, "bobs-pony")
        _, mine = await on.key("shop")
        wrong = {}
        for mount, route in on.routes():
            names = re.findall(r"\{(\w+)\}", route.pattern if "{" in route.pattern else mount.prefix)
            if not names or route.needs == ADMIN:
                continue
            for ids in _cases(names, on.things):
                there = await ask(on, mount, route, {"x-api-key": mine}, **ids)
                other = {name: _like(identity) for name, identity in ids.items()}
                none = await ask(on, mount, route, {"x-api-key": mine}, **other)
                seen, expected = _told(there, ids), _told(none, other)
                if seen != expected or there.status_code < 400 or there.status_code >= 500:
                    wrong[f"{route.method} {path_of(mount, route, **ids)}"] = (seen, expected)
        assert not wrong

    async def test_nor_in_bodies_and_queries(self, on: TwoProjects) -> None:
        _, theirs = await on.key("farm")
        await on.make(theirs, "bobs-pony")
        _, mine = await on.key("shop")
        wrong = {}
        for method, path, body, name in _naming():
            for identity in on.things[name]:
                told = []
                for one in (identity, _like(identity)):
                    sent = json.loads(json.dumps(body).replace("$", one)) if body is not None else None
                    answer = await on.ask(mine, method, path.replace("$", one), sent)
                    told.append(_told(answer, {name: one}))
                if told[0] != told[1] or told[0][0] >= 500:
                    wrong[f"{method} {path} {identity}"] = told
        assert not wrong

    async def test_lists_have_none_of_them(self, on: TwoProjects) -> None:
        _, theirs = await on.key("farm")
        await on.make(theirs, "bobs-pony")
        known = {one for name in ("name", "file", "job", "webhook") for one in on.things[name]}
        _, mine = await on.key("shop")
        wrong, lists = {}, 0
        for mount, route in on.routes():
            path = mount.prefix + route.pattern
            if route.method != "GET" or "{" in path or path in READY or route.needs == ADMIN:
                continue
            answer = await ask(on, mount, route, {"x-api-key": mine})
            own = await ask(on, mount, route, {"x-api-key": theirs})
            lists += any(one in own.text for one in known)
            if answer.status_code != own.status_code or any(one in answer.text for one in known):
                wrong[path] = answer.text
        assert not wrong
        assert lists >= 14, "of its own project a key sees all"

    async def test_an_admin_sees_no_other_projects_things_but_all_keys(self, on: TwoProjects) -> None:
        """Who runs the server has the store; over HTTP a key is of its project."""
        made, theirs = await on.key("farm")
        await on.make(theirs, "bobs-pony")
        _, admin = await on.key("shop", ADMIN)
        assert (await on.ask(admin, "GET", "/api/v1/deployments/bobs-pony")).status_code == 404
        assert (await on.ask(admin, "GET", f"/api/v1/keys/{made.id}")).json()["project"] == "farm"


def _cases(names: list[str], things: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    """What a route's ids may be, all of one kind after the other."""
    for at in range(max(len(things[name]) for name in names)):
        yield {name: things[name][at % len(things[name])] for name in names}


def _like(identity: str) -> str:
    """An id that looks like this one, and is none."""
    return "".join("1" if letter in "023456789" else letter for letter in identity[:-1]) + (
        "f" if identity[-1] != "f" else "e"
    )


def _told(answer: httpx2.Response, ids: dict[str, str]) -> tuple[int, str]:
    """Status and body, with the id that was asked for left out."""
    text = answer.text
    for identity in ids.values():
        text = text.replace(identity, "ID")
    return answer.status_code, text


def _naming() -> list[tuple[str, str, Any, str]]:
    """(method, path, body, kind of id) where one is named elsewhere than in the path: `$` is the id."""
    say = {"messages": [{"role": "user", "content": "hi"}], "model": "$"}
    text = {"prompt": "hi", "model": "$"}
    sync = {"prompt": "hi", "max_new_tokens": 1, "temperature": 0.5}
    rows = [
        ("POST", f"{base}{path}", body, "model")
        for base in ("/v1", "/inference/v1", "/llm-engine/v2")
        for path, body in (("/chat/completions", say), ("/completions", text))
    ]
    batch = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "$"}
    return [
        *rows,
        ("POST", "/v1/embeddings", {"input": "hi", "model": "$"}, "model"),
        ("POST", "/llm-engine/v1/llm/completions-sync?model_endpoint_name=$", sync, "name"),
        ("POST", "/llm-engine/v1/llm/completions-stream?model_endpoint_name=$", sync, "name"),
        ("POST", "/llm-engine/v1/llm/model-endpoints/download", {"model_name": "$"}, "name"),
        ("POST", "/v1/batches", batch, "file"),
        ("POST", "/v1/fine_tuning/jobs", {"model": "paddock/foal", "training_file": "$"}, "file"),
        ("POST", "/v1/fine_tuning/jobs", {"model": "$", "training_file": "file-0"}, "name"),
        (
            "POST",
            "/llm-engine/v1/llm/fine-tunes",
            {"model": "paddock/foal", "training_file": "$", "hyperparameters": {}},
            "file",
        ),
        ("POST", "/cortecs/api/v1/instances/stop", {"instance_id": "$"}, "instance"),
        ("POST", "/cortecs/api/v1/instances/restart", {"instance_id": "$"}, "instance"),
        ("POST", "/api/v1/deployments", {"model": "$", "name": "mine"}, "instance"),
        ("GET", "/api/v1/events?deployment=$", None, "name"),
        ("GET", "/api/v1/events?job=$", None, "job"),
        ("GET", "/api/v1/replicas?deployment=$", None, "name"),
        ("GET", "/api/v1/deployments?after=$", None, "name"),
        ("GET", "/api/v1/jobs?after=$", None, "job"),
        ("GET", "/v1/files?after=$", None, "file"),
        ("GET", "/v1/batches?after=$", None, "batch"),
        ("GET", "/v1/fine_tuning/jobs?after=$", None, "job"),
        ("GET", "/api/v1/usage?key=$", None, "name"),
    ]
