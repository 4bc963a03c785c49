"""`File` as a user of the published client calls it, and downloads that are not held in memory."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import paddock.clients.llm_engine as llm_engine
from paddock.clients.llm_engine import File, errors
from paddock.clients.llm_engine.content import ContentReader
from tests.unit.clients.server import Exchange, Respond, Server

Serve = Callable[..., Server]
TEXT = 'Ein "Pferd"\\\r\n\tfrißt Heu 🐴 \x00\x7f\ud7ff'
META = {"id": "file-1", "filename": "prompts.json", "size": 3}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server and points the client to it."""
    with ExitStack() as stack:

        def start(*responses: Respond) -> Server:
            server = stack.enter_context(Server(*responses))
            monkeypatch.setattr(llm_engine, "base_url", server.url + "/llm-engine/")
            return server

        yield start


def answering(body: Any, status: int = 200) -> Respond:
    return lambda exchange: exchange.answer(body, status)


def read(answer: bytes, size: int = 2**20) -> str:
    """What the reader makes of an answer that comes in pieces of `size` bytes."""
    reader = ContentReader()
    pieces = [reader.feed(answer[at : at + size]) for at in range(0, len(answer), size)]
    reader.finish()
    return b"".join(pieces).decode()


class TestUpload:
    def test_as_published(self, serve: Serve, tmp_path: Path) -> None:
        server = serve(answering({"id": "file-1"}))
        path = tmp_path / "prompts.csv"
        path.write_text("prompt\nWas frißt ein Pferd?\n", encoding="utf-8")
        with path.open("rb") as binary, path.open(encoding="utf-8") as text:
            assert [File.upload(binary).id, File.upload(text).id] == ["file-1", "file-1"]
        for sent in server.exchanges:
            assert (sent.method, sent.path) == ("POST", "/llm-engine/v1/files")
            assert b'name="file"; filename="prompts.csv"' in sent.body
            assert "frißt".encode() in sent.body

    @pytest.mark.parametrize("file", ["prompts.json", b"[]", Path("prompts.json"), None])
    def test_what_is_no_open_file(self, serve: Serve, file: Any) -> None:
        server = serve(answering({"id": "file-1"}))
        with pytest.raises(errors.ValidationError, match="file must be an open file"):
            File.upload(file)
        assert server.exchanges == []


class TestFiles:
    def test_get_and_list(self, serve: Serve) -> None:
        server = serve(answering(META), answering({"files": [META, META]}))
        assert File.get("file-1").filename == "prompts.json"
        assert [file.size for file in File.list().files] == [3, 3]
        paths = [f"{sent.method} {sent.path}" for sent in server.exchanges]
        assert paths == ["GET /llm-engine/v1/files/file-1", "GET /llm-engine/v1/files"]

    def test_delete(self, serve: Serve) -> None:
        server = serve(answering({"deleted": True}))
        assert File.delete("file-1").deleted
        assert server.exchanges[0].line == "DELETE /llm-engine/v1/files/file-1 HTTP/1.1"

    def test_download(self, serve: Serve) -> None:
        server = serve(answering({"id": "file-1", "content": TEXT}))
        assert File.download("file-1").content == TEXT
        assert server.exchanges[0].path == "/llm-engine/v1/files/file-1/content"

    def test_no_such_file(self, serve: Serve, tmp_path: Path) -> None:
        serve(answering({"detail": "there is no file 'file-1'"}, 404))
        calls: list[Callable[[], Any]] = [
            lambda: File.get("file-1"),
            lambda: File.delete("file-1"),
            lambda: File.download("file-1"),
            lambda: File.download_to("file-1", tmp_path / "a"),
        ]
        for call in calls:
            with pytest.raises(errors.NotFoundError, match="no file 'file-1'"):
                call()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("file_id", ["", ".", "..", 3])
    def test_what_is_no_id(self, file_id: Any) -> None:
        with pytest.raises(errors.ValidationError, match="file_id must be an ID"):
            File.get(file_id)


class TestDownloadTo:
    def test_it_takes_the_place_of_what_is_there(self, serve: Serve, tmp_path: Path) -> None:
        path = tmp_path / "answers.json"
        path.write_text("older and longer" * 100)
        serve(answering({"id": "file-1", "content": TEXT}))
        File.download_to("file-1", path)
        assert path.read_bytes() == TEXT.encode()
        assert [each.name for each in tmp_path.iterdir()] == ["answers.json"]

    @pytest.mark.parametrize("answer", [b'{"id": "file-1", "content": "abc', b'{"id": "file-1"}', b"[]"])
    def test_what_is_not_whole_leaves_what_was_there(
        self, serve: Serve, tmp_path: Path, answer: bytes
    ) -> None:
        path = tmp_path / "answers.json"
        path.write_text("older")
        serve(answering(answer))
        with pytest.raises(errors.UnknownError, match="not understood"):
            File.download_to("file-1", path)
        assert [each.read_text() for each in tmp_path.iterdir()] == ["older"]

    def test_a_connection_that_breaks(self, serve: Serve, tmp_path: Path) -> None:
        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.chunk(b'{"id": "file-1", "content": "abc')
            exchange.hang_up()

        serve(respond)
        with pytest.raises(errors.APIConnectionError):
            File.download_to("file-1", tmp_path / "a")
        assert list(tmp_path.iterdir()) == []

    def test_no_such_folder(self, serve: Serve, tmp_path: Path) -> None:
        server = serve(answering({"id": "file-1", "content": TEXT}))
        with pytest.raises(FileNotFoundError):
            File.download_to("file-1", tmp_path / "none" / "a")
        assert server.exchanges == []

    def test_memory(self, serve: Serve, tmp_path: Path) -> None:
        chunk, count = b"hay and \\u00df\\ud83d\\ude00\\n" * 5000, 400

        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.chunk(b'{"id": "file-1", "content": "')
            for _ in range(count):
                exchange.chunk(chunk)
            exchange.chunk(b'"}')
            exchange.send(b"0\r\n\r\n")

        serve(respond)
        File.download_to("file-1", tmp_path / "first")
        tracemalloc.start()
        try:
            File.download_to("file-1", tmp_path / "second")
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()
        assert (tmp_path / "second").stat().st_size == len("hay and ß😀\n".encode()) * 5000 * count


class TestContentReader:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 12, 13, 10_000])
    @pytest.mark.parametrize("ascii_only", [True, False])
    def test_pieces_of_any_size(self, size: int, ascii_only: bool) -> None:
        answer = json.dumps({"id": "file-1", "content": TEXT * 3}, ensure_ascii=ascii_only).encode()
        assert read(answer, size) == TEXT * 3

    def test_anything(self) -> None:
        draw = random.Random(0)
        letters = ['"', "\\", "\n", "u", "d83d", "é", "😀", "\u2028", "/", "\b", "0"]
        for _ in range(300):
            text = "".join(draw.choices(letters, k=draw.randrange(30)))
            answer = json.dumps({"content": text}, ensure_ascii=draw.random() < 0.5).encode()
            assert read(answer, draw.randrange(1, 20)) == text

    @pytest.mark.parametrize(
        "answer",
        [
            b' \n{ "content"\t: "hay" }\n',
            b'{"size": 12.5e3, "more": {"content": "no", "list": [1, "]"]}, "content": "hay", "id": "x"}',
            b'{"content":"\\u0068\\u0061y"}',
        ],
    )
    @pytest.mark.parametrize("size", [1, 5, 1000])
    def test_other_ways_of_writing_it(self, answer: bytes, size: int) -> None:
        assert read(answer, size) == "hay"

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (b"", "no content"),
            (b"[1]", "no JSON object"),
            (b"{}", "no content"),
            (b'{"id": "content"}', "no content"),
            (b'{"content": null}', "no text"),
            (b'{"content": "hay', "before the content did"),
            (b'{"content": "hay\\', "before the content did"),
            (b'{"content": "hay\\ud83d"}', "before the content did"),
            (b'{"content": "\\x41 is not JSON"}', "does not know"),
            (b'{"content": "\xff"}', "utf-8"),
            (b'{"id": "' + b"x" * 70_000 + b'", "content": "hay"}', "no content"),
        ],
    )
    def test_what_is_no_such_answer(self, answer: bytes, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            read(answer, 1000)
