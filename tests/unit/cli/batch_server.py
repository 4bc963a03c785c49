"""A server of files and batches in OpenAI's shapes, which answers every prompt as soon as it is looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.unit.clients.server import Exchange

JSON = dict[str, Any]
STEPS = ("validating", "in_progress", "finalizing", "completed")


def said(body: JSON) -> JSON:
    """The answer to a line's body: what was asked, in capitals."""
    if "prompt" in body:
        return {"choices": [{"text": body["prompt"].upper()}]}
    return {
        "choices": [{"message": {"role": "assistant", "content": body["messages"][-1]["content"].upper()}}]
    }


class BatchServer:
    """
    Attributes:
        files: their contents, by id.
        steps: the states that a batch walks through, one at each look; at the last one it stays.
        away: requests that are refused with 503 before the next one is answered.
        reverse: whether the output is written from its end.
    """

    def __init__(self, *steps: str) -> None:
        self.files: dict[str, bytes] = {}
        self.uploads: list[tuple[str, str]] = []
        self.batches: dict[str, JSON] = {}
        self.asked: list[str] = []
        self.steps = steps or STEPS
        self.away = 0
        self.reverse = False
        self.before: Callable[[Exchange], bool] = lambda exchange: False

    def __call__(self, exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0].removeprefix("/v1/")
        self.asked.append(f"{exchange.method} {path}")
        if self.away:
            self.away -= 1
            exchange.answer({"error": {"message": "the server is starting"}}, 503, retry_after="0")
        elif not self.before(exchange):
            self._answer(exchange, exchange.method, path.split("/"))

    def lines(self, file: str) -> list[JSON]:
        return [json.loads(line) for line in self.files[file].splitlines()]

    def _answer(self, exchange: Exchange, method: str, path: list[str]) -> None:
        match method, path:
            case "POST", ["files"]:
                exchange.answer(self._upload(exchange))
            case "GET", ["files", identity, "content"]:
                exchange.answer(self.files[identity])
            case "POST", ["batches"]:
                exchange.answer(self.create(exchange.json()))
            case "GET", ["batches"]:
                exchange.answer({"object": "list", "data": list(reversed(self.batches.values()))})
            case "GET", ["batches", identity] if identity in self.batches:
                exchange.answer(self._step(self.batches[identity]))
            case "POST", ["batches", identity, "cancel"] if identity in self.batches:
                exchange.answer(self._end(self.batches[identity], "cancelled"))
            case _:
                exchange.answer({"error": {"message": f"there is no {'/'.join(path)}"}}, 404)

    def _upload(self, exchange: Exchange) -> JSON:
        boundary = exchange.headers["content-type"].partition("boundary=")[2].encode()
        purpose, file = exchange.body.split(b"--" + boundary)[1:3]
        head, _, content = file.partition(b"\r\n\r\n")
        (name,) = re.findall(r'filename="(.*?)"', head.decode())
        self.uploads.append((name, purpose.decode().rsplit("\r\n", 2)[1]))
        identity = f"file-{len(self.files) + 1}"
        self.files[identity] = content.removesuffix(b"\r\n")
        return {"id": identity, "object": "file", "bytes": len(self.files[identity])}

    def create(self, body: JSON) -> JSON:
        identity = f"batch_{len(self.batches) + 1}"
        self.batches[identity] = batch = {
            "id": identity,
            "created_at": 1_700_000_000,
            "status": self.steps[0],
            **body,
        }
        return self._step(batch, move=False)

    def _step(self, batch: JSON, move: bool = True) -> JSON:
        if move and batch["status"] in self.steps[:-1]:
            batch["status"] = self.steps[self.steps.index(batch["status"]) + 1]
        if batch["status"] == "completed" and "output_file_id" not in batch:
            self._end(batch, "completed")
        total = len(self.lines(batch["input_file_id"]))
        done = total if batch["status"] in ("finalizing", "completed") else 0
        batch["request_counts"] = {"total": total, "completed": done, "failed": 0}
        return batch

    def _end(self, batch: JSON, status: str) -> JSON:
        batch["status"] = status
        answers, errors = [], []
        for line in self.lines(batch["input_file_id"]):
            if "BAD" in json.dumps(line):
                response = {"status_code": 400, "body": {"error": {"message": "it is bad"}}}
                errors.append({"custom_id": line["custom_id"], "response": response, "error": None})
            else:
                response = {"status_code": 200, "body": said(line["body"])}
                answers.append({"custom_id": line["custom_id"], "response": response, "error": None})
        for name, found in (("output", answers), ("error", errors)):
            if found:
                identity = f"file-{name}-of-{batch['id']}"
                found = list(reversed(found)) if self.reverse else found
                self.files[identity] = b"".join(json.dumps(one).encode() + b"\n" for one in found)
                batch[f"{name}_file_id"] = identity
        return batch
