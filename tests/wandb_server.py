"""Weights & Biases as far as its package needs it to report a run."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

JSON = dict[str, Any]
UNKNOWN = "f" * 40
"""A key that is refused."""


class WandbServer:
    """
    Attributes:
        url: of the server.
        keys: that were sent.
        runs: what each was made with.
        history: of each run, what was logged with each step, in order.
        summary: of each run, the last one.
        exits: the exit codes of those that are over.
    """

    def __init__(self) -> None:
        self.url = ""
        self.keys: set[str] = set()
        self.runs: dict[str, JSON] = {}
        self.history: dict[str, list[JSON]] = {}
        self.summary: dict[str, JSON] = {}
        self.exits: dict[str, int] = {}

    def answer(self, path: str, body: JSON) -> JSON:
        if path == "/graphql":
            return {"data": self._graphql(body["query"], body["variables"])}
        if path.endswith("/file_stream"):
            self._stream(path.split("/")[-2], body)
        return {}

    def _graphql(self, query: str, given: JSON) -> JSON:
        if "RunResumeStatus" in query:
            return {
                "model": {"id": "p", "name": "p", "entity": _ENTITY, "bucket": self._known(given["name"])}
            }
        if "mutation UpsertBucket" in query:
            if given.get("name"):
                self.runs.setdefault(given["name"], given)
            name = given.get("name") or next(iter(self.runs))
            project = {"id": "p", "name": self.runs[name].get("project"), "entity": _ENTITY}
            bucket = {"id": name, "name": name, "displayName": given.get("displayName"), "project": project}
            return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        return {"viewer": {"id": "v", "entity": "somebody", "username": "somebody", "flags": "{}"}}

    def _known(self, name: str) -> JSON | None:
        if name not in self.history:
            return None
        rows = self.history[name]
        return {
            "id": name,
            "name": name,
            "summaryMetrics": json.dumps(self.summary.get(name, {})),
            "displayName": name,
            "logLineCount": 0,
            "historyLineCount": len(rows),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(rows[-1])]),
            "eventsTail": "[]",
            "config": "{}",
            "tags": [],
            "wandbConfig": json.dumps({"t": 1}),
        }

    def _stream(self, run: str, body: JSON) -> None:
        files = body.get("files", {})
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.history.setdefault(run, []).append(json.loads(line))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summary[run] = json.loads(line)
        if body.get("complete"):
            self.exits[run] = body["exitcode"]


_ENTITY = {"id": "e", "name": "somebody"}


@contextlib.contextmanager
def running() -> Iterator[WandbServer]:
    known = WandbServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sent = self.headers.get("Authorization", "").removeprefix("Basic ")
            sent_key = b64decode(sent).decode().partition(":")[2]
            if UNKNOWN in sent_key:
                self.send_error(401)
                return
            known.keys |= {sent_key} - {""}
            is_json = self.path == "/graphql" or self.path.endswith("/file_stream")
            answer = json.dumps(known.answer(self.path, json.loads(body) if is_json else {})).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_PUT = do_POST  # noqa: N815 - as the base class has it

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
