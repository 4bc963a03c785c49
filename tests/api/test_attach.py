"""Servers that somebody else runs: what can go wrong when one is named, in one line that says what to do."""

from __future__ import annotations

import pytest

from bench import answers, stub
from bench.behaviour import Behaviour
from paddock.control.attach import attach
from paddock.errors import StartupError
from paddock.inference.routing import Deployment
from tests.api import scripted
from tests.api.gateway import CHAT, serving


def listing(*names: str) -> bytes:
    return scripted.plain({"object": "list", "data": [{"id": name} for name in names]})


async def attach_to(answer: bytes, spec: str = "mine={url}/v1") -> Deployment:
    async with scripted.serving(scripted.answering(answer)) as engine:
        deployment = await attach(spec.format(url=engine.url), 5)
        assert engine.paths == ["/v1/models"]
        deployment.replicas[0].upstream.close()
        return deployment


async def problem(answer: bytes, spec: str = "mine={url}/v1") -> str:
    with pytest.raises(StartupError) as caught:
        await attach_to(answer, spec)
    assert "\n" not in caught.value.message
    return caught.value.message


class TestSpec:
    @pytest.mark.parametrize(
        "spec",
        [
            "",
            "foal",
            "=http://h/v1",
            "foal=",
            "foal=h:8000/v1",
            "foal=ftp://h/v1",
            "foal=http://",
            "foal=http://:80",
            "foal=http://h:99999/v1",
            "foal=http://h:x/v1",
            "foal=http://[::1",
            "foal=http://h/v1?key=5",
            "http://h/v1",
        ],
    )
    async def test_a_malformed_one_is_shown_the_form(self, spec: str) -> None:
        with pytest.raises(StartupError, match=r"must look like NAME=http://host:port/v1") as caught:
            await attach(spec, 5)
        assert repr(spec) in caught.value.message


class TestModels:
    async def test_the_only_one_is_taken(self) -> None:
        deployment = await attach_to(listing("org/theirs"))
        assert (deployment.name, deployment.engine_model) == ("mine", "org/theirs")
        assert (deployment.engine, deployment.owned_by) == ("attached", "127.0.0.1")

    async def test_one_of_the_same_name_is_taken(self) -> None:
        assert (await attach_to(listing("other", "mine"))).engine_model == "mine"

    async def test_one_of_several_is_named(self) -> None:
        assert (await attach_to(listing("a", "b"), "mine={url}/v1#b")).engine_model == "b"
        message = await problem(listing("a", "b"))
        assert "serves a, b; say which with mine=" in message
        assert message.endswith("/v1#MODEL")

    async def test_a_server_without_a_list_is_taken_at_its_word(self) -> None:
        answer = scripted.plain(answers.error(404, "no such path"), "404 Not Found")
        assert (await attach_to(answer)).engine_model == "mine"

    async def test_a_slash_at_the_end_is_no_part_of_the_path(self) -> None:
        assert (await attach_to(listing("x"), "mine={url}/v1/")).engine_model == "x"


class TestProblems:
    async def test_nothing_answers(self) -> None:
        async with stub.serving() as engine:
            gone = engine.url
        with pytest.raises(StartupError, match="is that server running") as caught:
            await attach(f"mine={gone}/v1", 5)
        assert gone in caught.value.message

    async def test_a_key_is_wanted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PADDOCK_ATTACH_KEY_MY_MODEL", raising=False)
        async with stub.serving(Behaviour(key="secret")) as engine:
            with pytest.raises(StartupError, match="PADDOCK_ATTACH_KEY_MY_MODEL"):
                await attach(f"my-model={engine.url}/v1", 5)
            monkeypatch.setenv("PADDOCK_ATTACH_KEY_MY_MODEL", "secret\n")
            deployment = await attach(f"my-model={engine.url}/v1", 5)
            async with serving(deployment) as gateway:
                answer = await gateway.post("/v1/chat/completions", {**CHAT, "model": "my-model"})
                assert answer.json()["model"] == "my-model"

    @pytest.mark.parametrize("body", [b"<html>", [], {}, {"data": None}, {"data": ["x"]}, {"data": [{}]}])
    async def test_what_is_not_openai_s(self, body: object) -> None:
        assert "does the URL end in /v1?" in await problem(scripted.plain(body))

    async def test_a_server_that_is_not_ready(self) -> None:
        assert "status 503; is it ready?" in await problem(scripted.plain({}, "503 Loading"))
