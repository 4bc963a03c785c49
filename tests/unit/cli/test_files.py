"""`paddock files`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.cli.own_server import CREATED
from tests.unit.cli.terminal import Terminal
from tests.unit.clients.server import Exchange, Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
JSON = dict[str, Any]


def stored(**more: Any) -> JSON:
    return {
        "id": "file-1",
        "object": "file",
        "bytes": 2048,
        "created_at": int(CREATED),
        "filename": "a.jsonl",
        "purpose": "batch",
        **more,
    }


def answering(answers: dict[str, Any]) -> Callable[[Exchange], None]:
    """Answers each `METHOD /path?query` below `/v1/files`; a list one after the other."""

    def respond(exchange: Exchange) -> None:
        answer = answers.get(f"{exchange.method} {exchange.path.removeprefix('/v1/files')}")
        if answer is None:
            exchange.answer({"error": {"message": f"there is no {exchange.path}"}}, 404)
        else:
            exchange.answer(answer)

    return respond


class TestLs:
    FIRST, SECOND = "GET ?limit=1000&order=desc", "GET ?limit=1000&order=desc&after=file-1"

    def test_table_of_every_page(self, paddock: Run, serve: Serve) -> None:
        other = stored(id="file-2", filename="b\x1b[2J\n.txt", bytes=5, purpose="user_data")
        pages = {
            self.FIRST: {"data": [stored()], "has_more": True},
            self.SECOND: {"data": [other], "has_more": False},
        }
        serve(answering(pages))
        code, out, err = paddock("files", "ls")
        assert (code, err) == (0, "")
        assert [re.split(r"  +", line)[:4] for line in out.splitlines()] == [
            ["ID", "NAME", "SIZE", "PURPOSE"],
            ["file-1", "a.jsonl", "2.0 KiB", "batch"],
            ["file-2", "b[2J .txt", "5 bytes", "user_data"],
        ]

    def test_of_a_purpose(self, paddock: Run, serve: Serve) -> None:
        serve(answering({f"{self.FIRST}&purpose=batch": {"data": [stored()]}}))
        assert json.loads(paddock("files", "ls", "--purpose", "batch", "--json")[1]) == [stored()]

    def test_none(self, paddock: Run, serve: Serve) -> None:
        serve(answering({self.FIRST: {"data": []}}))
        assert paddock("files", "ls") == (0, "", "there is no file\n")


class TestUpload:
    def test_the_id_is_what_is_written(self, paddock: Run, serve: Serve, tmp_path: Path) -> None:
        server = serve(answering({"POST ": stored()}))
        content = bytes(range(256)) * 4096
        (tmp_path / "a.bin").write_bytes(content)
        assert paddock("files", "upload", str(tmp_path / "a.bin")) == (0, "file-1\n", "")
        body = server.exchanges[0].body
        assert content in body
        assert b'filename="a.bin"' in body
        assert b'name="purpose"\r\n\r\nuser_data\r\n' in body

    def test_options(self, paddock: Run, serve: Serve, tmp_path: Path) -> None:
        server = serve(answering({"POST ": stored()}))
        (tmp_path / "a.bin").touch()
        options = ["--purpose", "batch", "--name", "b.jsonl", "--json"]
        assert json.loads(paddock("files", "upload", str(tmp_path / "a.bin"), *options)[1]) == stored()
        assert b'filename="b.jsonl"' in server.exchanges[0].body
        assert b"\r\nbatch\r\n" in server.exchanges[0].body

    def test_a_file_that_is_not_there(self, paddock: Run, tmp_path: Path) -> None:
        code, _, err = paddock("files", "upload", str(tmp_path / "none"))
        assert code == 2
        assert "No such file or directory" in err

    def test_a_bar_at_a_terminal(
        self, serve: Serve, terminal: Callable[..., Terminal], tmp_path: Path
    ) -> None:
        serve(answering({"POST ": stored()}))
        (tmp_path / "a.bin").write_bytes(bytes(2**20))
        upload = terminal("files", "upload", str(tmp_path / "a.bin"), term="xterm")
        upload.wait_for("Uploading a.bin")
        upload.wait_for("file-1")
        assert upload.process.wait(10) == 0


class TestShow:
    def test_it(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /file-1": stored(expires_at=int(CREATED) + 60)}))
        lines = paddock("files", "show", "file-1")[1].splitlines()
        assert lines[:4] == [
            "file-1",
            "  name     a.jsonl",
            "  size     2.0 KiB (2,048 bytes)",
            "  purpose  batch",
        ]
        assert [line.split()[0] for line in lines[4:]] == ["created", "removed"]

    def test_json(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /file-1": stored()}))
        assert json.loads(paddock("files", "show", "file-1", "--json")[1]) == stored()


class TestGet:
    CONTENT = b"\x00\xff\r\n" * 100_000

    def test_to_a_file(self, paddock: Run, serve: Serve, tmp_path: Path) -> None:
        serve(answering({"GET /file-1": stored(), "GET /file-1/content": self.CONTENT}))
        out = tmp_path / "out"
        assert paddock("files", "get", "file-1", "--out", str(out)) == (0, "", "")
        assert out.read_bytes() == self.CONTENT
        code, _, err = paddock("files", "get", "file-1", "--out", str(out))
        assert code == 2
        assert "is there already: choose another --out, or use --overwrite" in err
        assert paddock("files", "get", "file-1", "--out", str(out), "--overwrite")[0] == 0

    def test_to_standard_output(self, serve: Serve, terminal: Callable[..., Terminal]) -> None:
        serve(answering({"GET /file-1/content": b"all of it"}))
        get = terminal("files", "get", "file-1")
        get.wait_for("all of it")
        assert get.process.wait(10) == 0

    def test_one_that_breaks_off_leaves_nothing(self, paddock: Run, serve: Serve, tmp_path: Path) -> None:
        def respond(exchange: Exchange) -> None:
            if exchange.path.endswith("content"):
                exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                exchange.hang_up()
            else:
                exchange.answer(stored())

        serve(respond)
        (tmp_path / "here").mkdir()
        code, _, err = paddock("files", "get", "file-1", "--out", str(tmp_path / "here" / "out"))
        assert code == 1
        assert "broke" in err
        assert list((tmp_path / "here").iterdir()) == []


class TestRm:
    def test_one_that_cannot_be_removed_does_not_keep_the_others(self, paddock: Run, serve: Serve) -> None:
        gone = {"id": "file-1", "object": "file", "deleted": True}
        serve(answering({"DELETE /file-1": gone, "DELETE /file-2": {**gone, "deleted": False}}))
        code, out, err = paddock("files", "rm", "no", "file-2", "file-1")
        assert (code, out) == (1, "file-1 is removed\n")
        assert err.splitlines() == [
            "paddock: there is no /v1/files/no",
            "paddock: the server did not remove file-2",
        ]
