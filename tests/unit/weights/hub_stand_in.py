"""A Hugging Face hub on loopback: just the routes that the hub's library asks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "a" * 40
Repositories = dict[str, dict[str, bytes]]


@contextlib.contextmanager
def hub(repositories: Repositories, gated: set[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:  # type: ignore[assignment]
    """(its address, the paths of the files that were downloaded)."""
    downloads: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(send_body=False)

        def do_GET(self) -> None:
            self.answer(send_body=True)

        def answer(self, send_body: bool) -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
            files = repositories.get(name)
            if files is None:
                self.reply(401, b"{}", {"X-Error-Code": "RepoNotFound"}, send_body)
            elif name in gated:
                self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"}, send_body)
            elif "missing" in parts:
                self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, send_body)
            elif parts[0] == "api":
                self.reply(200, json.dumps(describe(name, files, parts)).encode(), {}, send_body)
            else:
                path = "/".join(parts[4:])
                if send_body:
                    downloads.append(path)
                tag = hashlib.sha256(files[path]).hexdigest()
                self.reply(200, files[path], {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}, send_body)

        def reply(self, status: int, body: bytes, headers: dict[str, str], send_body: bool) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if send_body:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", downloads
        finally:
            server.shutdown()
            thread.join()


def describe(name: str, files: dict[str, bytes], parts: list[str]) -> Any:
    if "tree" in parts:
        return [
            {"type": "file", "path": path, "size": len(body), "oid": "0" * 40} for path, body in files.items()
        ]
    siblings = [{"rfilename": path, "size": len(body)} for path, body in files.items()]
    return {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
