"""What the commands' server answers in these tests, in the shapes of Paddock's own API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.clients.server import Exchange

JSON = dict[str, Any]
Answer = Callable[[Exchange], None]
CREATED = 1_700_000_000.0


def replica(state: str = "ready", step: int = 5, **more: Any) -> JSON:
    return {
        "id": "rep-1",
        "generation": 1,
        "state": state,
        "node": "here",
        "hardware_type": "CPU_1",
        "step": step,
        "description": state.capitalize(),
        "done": 0,
        "total": 0,
        "reason": "",
        "created_at": CREATED,
        "ready_at": None,
        "ended_at": None,
        **more,
    }


def deployment(status: str = "ready", *replicas: JSON, **more: Any) -> JSON:
    if status == "ready" and not replicas:
        replicas = (replica(),)
    return {
        "id": "dep-1",
        "name": "a/foal",
        "project": "local",
        "model": "paddock/foal",
        "engine": "llama.cpp",
        "hardware_type": "CPU_1",
        "context_length": 1024,
        "min_workers": 1,
        "max_workers": 1,
        "per_worker": 8,
        "idle_timeout": 300.0,
        "options": {"slots": 8, "threads": 0, "weights_type": "auto"},
        "labels": {},
        "status": status,
        "serving": any(one["state"] == "ready" for one in replicas),
        "reason": "",
        "log": [],
        "generation": 1,
        "replicas": list(replicas),
        "created_at": CREATED,
        "updated_at": CREATED,
        "started_at": None,
        "stopped_at": None,
        **more,
    }


def event(id: int, kind: str, message: str = "") -> JSON:
    return {
        "id": id,
        "at": CREATED,
        "kind": kind,
        "deployment": "a/foal",
        "deployment_id": "dep-1",
        "replica": "",
        "message": message,
    }


def line(id: int, text: str, replica: str = "rep-1") -> JSON:
    return {"id": id, "at": CREATED, "replica": replica, "text": text}


def refuse(status: int, message: str) -> Answer:
    return lambda exchange: exchange.answer({"error": {"message": message}}, status)


def answering(answers: dict[str, Any]) -> Callable[[Exchange], None]:
    """Answers each `METHOD /path` below `/api/v1`, queries aside, with what is there for it.

    That is JSON, a function that answers, or a list of either: one after the other, the last for ever.
    """
    used: dict[str, int] = {}

    def respond(exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0]
        asked = f"{exchange.method} {path.removeprefix('/api/v1')}"
        answer = answers.get(asked, refuse(404, f"there is no {asked}"))
        if isinstance(answer, list):
            at = min(used.get(asked, 0), len(answer) - 1)
            used[asked] = at + 1
            answer = answer[at]
        if callable(answer):
            answer(exchange)
        else:
            exchange.answer(answer)

    return respond
