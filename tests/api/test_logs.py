"""What is logged of a request, and what never is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping

import pytest

from bench import stub
from paddock.gateway.access_log import AccessLog
from paddock.gateway.keyring import Keyring
from paddock.inference.log_lines import Lines
from paddock.services.keys import Key
from tests.api.gateway import CHAT, attached, serving


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, as the server writes it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(Lines(as_json=False))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


class _Keyring(Keyring):
    """Takes everybody for one who has this key."""

    def find(self, headers: Mapping[bytes, bytes]) -> Key:
        return Key("key_1", "shop")


class TestAccessLog:
    async def test_whose_key_it_is(self) -> None:
        async with serving() as gateway:
            gateway.app.keyring = _Keyring()
            await gateway.client.get("/v1/models")
            (line,) = await gateway.lines()
        assert (line["key"], line["project"]) == ("key_1", "shop")

    async def test_as_json(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            gateway.app.access_log = AccessLog(gateway.log, as_json=True)
            await gateway.post("/v1/chat/completions", {**CHAT, "stream": True})
            await gateway.client.get("/v1/nothing%0a")
            gateway.app.access_log.flush()
            first, second = map(json.loads, gateway.log.getvalue().splitlines())
        names = "time request_id client method path status model prompt_tokens completion_tokens"
        assert list(first) == [*names.split(), "first_token_ms", "ms"]
        assert (first["status"], first["completion_tokens"]) == (200, 64)
        assert (second["path"], second["outcome"]) == ("/v1/nothing\n", "unknown_route")


class TestProcessLog:
    async def test_lines_of_a_request_have_its_id_and_none_of_its_words(
        self, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
    ) -> None:
        async def broken(*args: object, **more: object) -> None:
            raise ValueError("PRIVATE")

        monkeypatch.setattr("paddock.gateway.openai.generate.plan", broken)
        async with serving(attached("http://127.0.0.1:9")) as gateway:
            answer = await gateway.post("/v1/chat/completions", CHAT)
        assert answer.status_code == 500
        assert f"request_id={answer.headers['x-request-id']}" in log.getvalue()
        assert "ValueError at" in log.getvalue()
        assert "ValueError: PRIVATE" not in log.getvalue()
        assert "PRIVATE" not in answer.text

    @pytest.mark.parametrize("stream", [False, True])
    async def test_prompts_and_answers_only_if_they_are_wanted(
        self, stream: bool, log: io.StringIO, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = {**CHAT, "messages": [{"role": "user", "content": "PRIVATE"}], "stream": stream}
        for wanted in (False, True):
            async with stub.serving() as engine:
                async with serving(attached(engine.url), log_prompts=wanted) as gateway:
                    await gateway.post("/v1/chat/completions", body)
                    await gateway.client.get("/v1/models")
            asked = [one for one in caplog.records if one.name == "paddock.prompts"]
            assert len(asked) == wanted
            assert ("PRIVATE" in log.getvalue()) is wanted
        fields = asked[0].fields  # type: ignore[attr-defined]
        assert fields["model"] == "stub"
        assert json.loads(fields["prompt"]) == body
        assert "foal" in fields["answer"]
