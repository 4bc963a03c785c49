"""Webhooks and callbacks of a real server, received on loopback and checked by the `openai` package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from tests.e2e.server import Server, serving, until
from tests.receiver import Received, Receiver, receiving

SECONDS = 30.0
CHATS = "/v1/chat/completions"
ENDPOINTS = "/llm-engine/v1/llm/model-endpoints"
HOOKS = "/api/v1/webhooks"
OPEN = {"PADDOCK_ALLOW_PRIVATE_URLS": "true"}


def command(server: Server, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "paddock", "webhooks", *arguments, "--base-url", server.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def ask(server: Server, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    found = httpx2.request(method, f"{server.url}{path}", json=body, timeout=SECONDS)
    assert found.status_code == status, found.text
    return found.json()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("webhooks"), **OPEN) as found:
        yield found


class TestBatch:
    def test_a_killed_server_tells_later_what_it_could_not(self, tmp_path: Path) -> None:
        row = {"model": "foal", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        line = json.dumps({"custom_id": "row", "method": "POST", "url": CHATS, "body": row}).encode()
        with receiving(500) as receiver:
            with serving(tmp_path, **OPEN) as first:
                made = json.loads(command(first, "create", receiver.url, "--event", "batch.*", "--json"))
                client = OpenAI(base_url=f"{first.url}/v1", api_key="any")
                file = client.files.create(file=("in.jsonl", line + b"\n"), purpose="batch")
                batch = client.batches.create(input_file_id=file.id, endpoint=CHATS, completion_window="24h")
                path = f"{HOOKS}/{made['id']}"
                until(lambda: ask(first, "GET", path)["last_status"] == 500, SECONDS)
                assert first.metric("paddock_webhook_attempts_total", outcome="failed") == 1
                os.kill(first.process.pid, signal.SIGKILL)
            with serving(tmp_path, **OPEN):
                until(lambda: len(receiver.received) == 2, 60.0)
        one, again = receiver.received
        assert one.headers["webhook-id"] == again.headers["webhook-id"]
        assert one.body == again.body
        event = client.webhooks.unwrap(again.body, again.headers, secret=made["secret"])
        assert (event.object, event.type, event.id) == (
            "event",
            "batch.completed",
            again.headers["webhook-id"],
        )
        assert event.data.id == batch.id
        client.close()


class TestCommands:
    def test_from_the_making_to_the_end(self, server: Server) -> None:
        with receiving(204, 410) as receiver:
            identity, secret = command(server, "create", receiver.url, "--name", "mine").split()
            assert secret.startswith("whsec_")
            assert "it answered 204" in command(server, "test", identity)
            event = OpenAI(api_key="any").webhooks.unwrap(
                receiver.received[0].body, receiver.received[0].headers, secret=secret
            )
            assert event.type == "webhook.test"  # type: ignore[comparison-overlap]
            assert "it answered 410" in command(server, "test", identity, code=1)
        listed = command(server, "ls")
        assert identity in listed
        assert "failing for" in listed
        assert secret not in listed + command(server, "show", identity)
        assert "is deleted" in command(server, "rm", identity)
        assert "there is no webhook" in command(server, "test", identity, code=1)
        shown = command(server, "callback-secret")
        assert shown != command(server, "callback-secret", "--new")


class TestApi:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"events": ["*"]}, "url"),
            ({"url": "x", "events": ["*"]}, "url"),
            ({"url": "https://127.0.0.1/", "events": []}, "events"),
            ({"url": "https://127.0.0.1/", "events": ["x"]}, "events"),
            ({"url": "https://127.0.0.1/", "events": ["*"], "secret": "x"}, "secret"),
            ({"url": "https://127.0.0.1/", "events": ["*"], "more": 1}, "more"),
        ],
    )
    def test_what_is_wrong_is_named(self, server: Server, body: Any, param: str) -> None:
        assert ask(server, "POST", HOOKS, body, 400)["error"]["param"] == param

    def test_deployments_and_another_try(self, server: Server) -> None:
        with receiving() as receiver:
            asked = {"url": receiver.url, "events": ["deployment.created"]}
            made = ask(server, "POST", HOOKS, asked, 201)
            one = f"{HOOKS}/{made['id']}"
            wish = {"model": "paddock/foal", "name": "told", "min_workers": 0}
            deployment = ask(server, "POST", "/api/v1/deployments", wish, 201)
            until(lambda: receiver.received, SECONDS)
            told = json.loads(receiver.received[0].body)
            assert (told["type"], told["data"]["id"]) == ("deployment.created", deployment["id"])
            (delivery,) = until(lambda: delivered(server, one), SECONDS)
            ask(server, "POST", f"{one}/deliveries/{delivery['id']}/retry")
            until(lambda: len(receiver.received) == 2, SECONDS)
            assert ask(server, "PATCH", one, {"enabled": False})["enabled"] is False
            assert "secret" not in ask(server, "GET", HOOKS)["data"][0]
            ask(server, "DELETE", one)
            ask(server, "GET", one, status=404)
            ask(server, "DELETE", "/api/v1/deployments/told")


def delivered(server: Server, path: str) -> list[Any]:
    found = ask(server, "GET", path)["deliveries"]
    return [one for one in found if one["state"] == "delivered"]


class TestCallbacks:
    def test_each_answer_is_posted_whole(self, server: Server) -> None:
        auth = {"kind": "basic", "username": "u", "password": "p"}
        with receiving() as receiver:
            hooks = {
                "post_inference_hooks": ["callback", "billing"],
                "default_callback_url": f"{receiver.url}/done",
                "default_callback_auth": auth,
            }
            wish = {"name": "pony", "model_name": "paddock/foal", "min_workers": 1, "max_workers": 1}
            ask(server, "POST", ENDPOINTS, {**wish, "per_worker": 2, **hooks})
            spec = ask(server, "GET", f"{ENDPOINTS}/pony")["spec"]
            shown = {**hooks, "default_callback_auth": {**auth, "password": "********"}}
            assert {name: spec[name] for name in hooks} == shown
            until(lambda: ask(server, "GET", f"{ENDPOINTS}/pony")["status"] == "READY", SECONDS)
            self.check_first_version(server, receiver)
            self.check_second_version(server, receiver)
            assert receiver.received[0].path == "/done"
            assert receiver.received[0].headers["authorization"] == "Basic dTpw"
            assert self.is_answered_unheard(server, receiver, "paddock/foal")
            ask(server, "PUT", f"{ENDPOINTS}/pony", {"post_inference_hooks": []})
            # Who answers requests sees a change a moment later.
            until(lambda: self.is_answered_unheard(server, receiver, "pony"), SECONDS)
            ask(server, "DELETE", f"{ENDPOINTS}/pony")

    def is_answered_unheard(self, server: Server, receiver: Receiver, model: str) -> bool:
        before = len(receiver.received)
        ask(server, "POST", "/v1/completions", {"model": model, "prompt": "A", "max_tokens": 2})
        time.sleep(0.3)
        return len(receiver.received) == before

    def check_first_version(self, server: Server, receiver: Receiver) -> None:
        asked = {"prompt": "The capital of France is", "max_new_tokens": 6, "temperature": 0}
        path = "/llm-engine/v1/llm/completions-{}?model_endpoint_name=pony"
        answer = ask(server, "POST", path.format("sync"), asked)
        posted = self.next(server, receiver, 1)
        assert posted == {**answer, "task_id": answer["request_id"]}
        streamed = httpx2.post(f"{server.url}{path.format('stream')}", json=asked, timeout=SECONDS)
        assert streamed.status_code == 200
        posted = self.next(server, receiver, 2)
        assert posted["output"] == answer["output"]
        assert posted["request_id"] == posted["task_id"] == streamed.headers["x-request-id"]

    def check_second_version(self, server: Server, receiver: Receiver) -> None:
        said = [{"role": "user", "content": "Hello"}]
        asked = {"model": "pony", "messages": said, "max_tokens": 6, "temperature": 0}
        answer = ask(server, "POST", "/llm-engine/v2/chat/completions", asked)
        posted = self.next(server, receiver, 3)
        assert posted.pop("task_id") == receiver.received[-1].headers["webhook-id"]
        assert posted == answer
        for number, n in ((4, 1), (5, 2)):
            more = {"n": n, "stream": True}
            assert httpx2.post(f"{server.url}{CHATS}", json={**asked, **more}, timeout=SECONDS).is_success
            posted = self.next(server, receiver, number)
            assert [one["message"] for one in posted["choices"]] == [answer["choices"][0]["message"]] * n
            assert posted["model"] == "pony"
            assert posted["object"] == "chat.completion"

    def next(self, server: Server, receiver: Receiver, number: int) -> Any:
        until(lambda: len(receiver.received) >= number, SECONDS)
        found: Received = receiver.received[number - 1]
        secret = ask(server, "GET", f"{HOOKS}/callback-secret")["secret"]
        OpenAI(api_key="any").webhooks.verify_signature(found.body, found.headers, secret=secret)
        return json.loads(found.body)

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"post_inference_hooks": ["callback"]}, "default_callback_url is required"),
            ({"post_inference_hooks": ["other"]}, "callback, billing, logging"),
            ({"default_callback_auth": {"kind": "mtls", "cert": "c", "key": "k"}}, "default_callback_auth"),
            (
                {"post_inference_hooks": ["callback"], "default_callback_url": "https://nowhere.invalid/"},
                "default_callback_url: there is no host",
            ),
        ],
    )
    def test_what_cannot_be(self, server: Server, fields: Any, said: str) -> None:
        wish = {"name": "mule", "model_name": "paddock/foal", "min_workers": 1, "max_workers": 1}
        assert said in ask(server, "POST", ENDPOINTS, {**wish, "per_worker": 1, **fields}, 400)["detail"]
