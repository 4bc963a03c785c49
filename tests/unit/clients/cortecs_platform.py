"""A Cortecs platform in memory, to be served on loopback: each look at an instance takes it a step on."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.clients.server import Exchange, Respond

BASE = "/cortecs/api/v1"
STEPS = ("queued", "reserving hardware", "fetching weights (1 of 2 MB)", "loading", "ready")
CREDENTIALS = {"client_id": "id", "client_secret": "secret"}
MODEL = {
    "model_id": "paddock--foal",
    "hf_name": "paddock/foal",
    "creator": {"name": "Paddock"},
    "description": "A small chat model.",
    "screen_name": "Foal",
    "size": 5_000_000,
    "instant_provisioned": True,
    "recommended_config": "CPU_1",
}
CONFIGS = {
    name: {
        "hardware_type_id": name,
        "params": {"--max-model-len": most, "max_context_length": most},
        "requirements": {},
    }
    for name, most in (("CPU_1", 2048), ("CPU_2", 64_000))
}
HARDWARE = {
    "hardware_type_id": "CPU_1",
    "price_info": {"price_per_hour": 1.2, "price_per_minute": 0.02, "currency": "EUR"},
    "hardware_info": {"cores": 1},
}


class Platform:
    """Answers as the reference says.

    Attributes:
        instances: the instances by id, as answers show them.
        fails: the step at which instances stop, with the reason; None lets them run.
        stuck: whether pending instances stay at their step.
        ahead: what answers instead, by method and path, one after the other.
    """

    def __init__(self) -> None:
        self.instances: dict[str, dict[str, Any]] = {}
        self.tokens: list[str] = []
        self.expires_in = 3600
        self.fails: tuple[int, str] | None = None
        self.stuck = False
        self.ahead: dict[str, list[Respond]] = {}
        self.asked: Counter[str] = Counter()
        self._number = 0

    def __call__(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.path)
        what = f"{exchange.method} {parts.path.removeprefix(BASE)}"
        self.asked[what] += 1
        if self.ahead.get(what):
            self.ahead[what].pop(0)(exchange)
        else:
            self.answer(exchange)

    def answer(self, exchange: Exchange, status: int = 200) -> None:
        """What the platform itself says."""
        status, body = self.reply(exchange)
        exchange.answer(body, status)

    def reply(self, exchange: Exchange) -> tuple[int, Any]:
        parts = urlsplit(exchange.path)
        what = f"{exchange.method} {parts.path.removeprefix(BASE)}"
        body = json.loads(exchange.body) if exchange.body else {}
        public = {
            "GET /models/": {"models": [MODEL | {"hardware_configs": list(CONFIGS)}]},
            "GET /models/paddock--foal": {"model": MODEL | {"hardware_configs": CONFIGS}},
            "GET /hardware-types/": {"hardware_types": [HARDWARE]},
            "GET /hardware-types/available": {"hardware_types": []},
        }
        if what in public:
            return 200, public[what]
        if what == "POST /oauth2/token":
            return self._token(body)
        if exchange.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, error("the token is not known")
        if what == "GET /instances/":
            return 200, {"instances": list(self.instances.values())}
        if what == "POST /instances/start":
            return self._start(body)
        if what == "POST /instances/stop-all" or what == "DELETE /instances/delete-all":
            return 200, {"instance_ids": [*self.instances, *parse_qs(parts.query).get("force_deletion", [])]}
        return self._one(what, body.get("instance_id") or parts.path.rpartition("/")[2])

    def _token(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body != {"grant_type": "client_credentials", **CREDENTIALS}:
            return 401, {"error": "invalid_client", "error_description": "the credentials are not known"}
        self.tokens.append(f"token-{len(self.tokens)}")
        return 200, {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": self.expires_in}

    def _start(self, body: dict[str, Any]) -> tuple[int, Any]:
        self._number += 1
        args = {
            "model_id": body["model_id"],
            "hardware_type_id": body.get("hardware_type_id") or "CPU_1",
            "context_length": body.get("context_length") or 2048,
            "billing_interval": body.get("billing_interval") or "per_minute",
            "num_workers": body.get("num_workers") or 1,
        }
        instance = {
            "instance_id": f"instance-{self._number}",
            "base_url": None,
            "instance_args": args,
            "instance_status": {"status": "pending", "started_at": None, "stopped_at": None},
            "worker_statuses": [{}],
            "labels": body.get("labels"),
        }
        self.instances[str(instance["instance_id"])] = instance
        step_to(instance, 1)
        return 200, {"instance": instance}

    def _one(self, what: str, instance_id: str) -> tuple[int, Any]:
        instance = self.instances.get(instance_id)
        if instance is None:
            return 404, error(f"there is no instance {instance_id}")
        status = instance["instance_status"]
        if what == "POST /instances/stop":
            if status["status"] == "stopped":
                return 409, error(f"{instance_id} is stopped already")
            stop(instance)
        elif what == "POST /instances/restart":
            step_to(instance, 1)
        elif what.startswith("DELETE"):
            if status["status"] != "stopped":
                return 409, error(f"{instance_id} is {status['status']}: stop it first")
            del self.instances[instance_id]
            return 200, {"instance_id": instance_id}
        elif status["status"] == "pending" and not self.stuck:
            step = status["init_progress"]["current_step"] + 1
            step_to(instance, step)
            if self.fails and self.fails[0] == step:
                stop(instance, self.fails[1])
        return 200, {"instance": instance}


def step_to(instance: dict[str, Any], step: int) -> None:
    progress = {"current_step": step, "num_steps": 5, "description": STEPS[step - 1]}
    running = step == 5
    instance["instance_status"].update(
        status="running" if running else "pending",
        started_at="2024-11-29T09:05:47.788Z" if running else None,
        init_progress=progress,
    )
    instance["worker_statuses"] = [{"init_progress": progress}]
    instance["base_url"] = f"http://instance/{instance['instance_id']}/v1" if running else None


def stop(instance: dict[str, Any], reason: str | None = None) -> None:
    instance["instance_status"].update(
        status="stopped", stopped_at="2024-11-29T10:05:47.788Z", init_progress=None, reason=reason
    )
    instance["worker_statuses"] = [{"init_progress": None}]
    instance["base_url"] = None


def error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def refuse(status: int, message: str = "not now") -> Respond:
    return lambda exchange: exchange.answer(error(message), status)
