"""Files through the `openai` package and LLM Engine's routes, against a real server that may be killed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.e2e.server import Server, serving, start, stop, until, wait_for_url
from tests.store import s3

MIB = 2**20
ROWS = b'{"custom_id": "1"}\n{"custom_id": "2"}\n'


@pytest.fixture
def client(foal: Server) -> Iterator[OpenAI]:
    with client_of(foal.url) as client:
        yield client


def client_of(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)


class TestOpenAI:
    def test_from_upload_to_deletion(self, client: OpenAI, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(ROWS)
        with path.open("rb") as file:
            made = client.files.create(file=file, purpose="batch")
        assert (made.object, made.filename, made.purpose) == ("file", "rows.jsonl", "batch")
        assert (made.bytes, made.status, made.expires_at) == (len(ROWS), "processed", None)
        assert client.files.retrieve(made.id) == made
        assert client.files.content(made.id).read() == ROWS
        deleted = client.files.delete(made.id)
        assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "file", True)
        with pytest.raises(openai.NotFoundError, match="there is no file"):
            client.files.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            client.files.content(made.id)

    def test_it_expires(self, client: OpenAI) -> None:
        expiry: Any = {"anchor": "created_at", "seconds": 7200}
        made = client.files.create(file=("a.txt", b"text"), purpose="user_data", expires_after=expiry)
        assert made.expires_at is not None
        assert made.expires_at - made.created_at in (7199, 7200)
        client.files.delete(made.id)

    def test_pages_follow_each_other(self, client: OpenAI) -> None:
        made = [client.files.create(file=(str(n), b""), purpose="evals").id for n in range(5)]
        assert [file.id for file in client.files.list(purpose="evals", limit=2)] == made[::-1]
        assert [file.id for file in client.files.list(purpose="evals", limit=2, order="asc")] == made
        for identity in made:
            client.files.delete(identity)

    async def test_in_a_loop(self, foal: Server) -> None:
        async with AsyncOpenAI(base_url=f"{foal.url}/v1", api_key="any", max_retries=0) as client:
            made = await client.files.create(file=("a.bin", b"\xff\x00"), purpose="vision")
            assert (await client.files.content(made.id)).content == b"\xff\x00"
            async with client.files.with_streaming_response.content(made.id) as answer:
                assert [piece async for piece in answer.iter_bytes()] == [b"\xff\x00"]
            assert [file.id async for file in client.files.list(purpose="vision")] == [made.id]
            await client.files.delete(made.id)

    def test_what_is_wrong(self, client: OpenAI) -> None:
        purpose: Any = "fun"
        with pytest.raises(openai.BadRequestError) as caught:
            client.files.create(file=("a", b""), purpose=purpose)
        assert (caught.value.param, caught.value.code) == ("purpose", "invalid_request")
        with pytest.raises(openai.NotFoundError):
            client.files.delete("file-none")

    def test_llm_engine_has_the_same_files(self, client: OpenAI, foal: Server) -> None:
        made = client.files.create(file=("a.txt", "naïve 🐎".encode()), purpose="user_data")
        other = client.files.create(file=("a.bin", b"\xff"), purpose="user_data")
        with httpx2.Client(base_url=f"{foal.url}/llm-engine/v1/files") as http:
            listed = http.get("").json()["files"]
            assert {"id": made.id, "filename": "a.txt", "size": 7} in listed
            assert http.get(f"/{made.id}/content").json() == {"id": made.id, "content": "naïve 🐎"}
            refused = http.get(f"/{other.id}/content")
            assert (refused.status_code, "not text in UTF-8" in refused.json()["detail"]) == (400, True)
            theirs = http.post("", files={"file": ("b.txt", b"b")}).json()["id"]
            assert client.files.content(theirs).read() == b"b"
            for identity in (made.id, other.id, theirs):
                assert http.delete(f"/{identity}").json() == {"deleted": True}


class Noise(io.RawIOBase):
    """So many bytes that differ, made as they are read."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.digest = hashlib.sha256()
        self._piece = os.urandom(MIB)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._piece[: min(self.left, MIB if size < 0 else size)]
        self.left -= len(piece)
        self.digest.update(piece)
        return piece


class TestMemory:
    def test_a_large_file_takes_none(self, foal: Server) -> None:
        size = 256 * MIB
        for path in (f"{foal.url}/v1/files", f"{foal.url}/llm-engine/v1/files"):
            # What the first request loads is not the file's.
            httpx2.post(path, files={"file": ("a", b"text")}, data={"purpose": "batch"})
        idle, noise = peak(foal, reset=True), Noise(size)
        identity = post(foal.url, noise, size)
        digest = hashlib.sha256()
        with httpx2.stream("GET", f"{foal.url}/v1/files/{identity}/content") as answer:
            assert answer.headers["content-length"] == str(size)
            for piece in answer.iter_bytes():
                digest.update(piece)
        assert digest.digest() == noise.digest.digest()
        assert peak(foal) - idle < 30 * MIB
        httpx2.delete(f"{foal.url}/v1/files/{identity}")


def post(url: str, file: IO[bytes] | Noise, size: int) -> str:
    """Uploads a file in pieces; the id of it."""
    head = (
        b'--xyz\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--xyz\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    )

    def body() -> Iterator[bytes]:
        yield head
        while piece := file.read(MIB):
            yield piece
        yield b"\r\n--xyz--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=xyz"}
    answer = httpx2.post(f"{url}/v1/files", content=body(), headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["bytes"] == size
    return str(answer.json()["id"])


def peak(server: Server, *, reset: bool = False) -> int:
    """The most memory of the server since the last reset, in bytes."""
    folder = Path(f"/proc/{server.process.pid}")
    if reset:
        (folder / "clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


class TestKilled:
    def test_half_an_upload_is_nothing_and_a_whole_one_stays(self, tmp_path: Path) -> None:
        process, stderr = start(tmp_path)
        try:
            url = wait_for_url(process, stderr)
            with client_of(url) as client:
                kept = client.files.create(file=("kept", ROWS), purpose="batch").id
            with half(url):
                until(lambda: [path for path in blobs(tmp_path) if path.stat().st_size > MIB], 10)
                process.kill()
                process.wait(10)
        finally:
            stop(process)
        (part,) = [path for path in blobs(tmp_path) if path.name != kept]
        os.utime(part, (time.time() - 7200,) * 2)
        with serving(tmp_path) as server, client_of(server.url) as client:
            assert [file.id for file in client.files.list()] == [kept]
            assert client.files.content(kept).read() == ROWS
            until(lambda: [path.name for path in blobs(tmp_path)] == [kept], 10)


def half(url: str) -> socket.socket:
    """An upload that stops in the middle."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(
        b"POST /v1/files HTTP/1.1\r\nhost: a\r\ncontent-length: 9000000\r\n"
        b"content-type: multipart/form-data; boundary=xyz\r\n\r\n"
        b'--xyz\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(4 * MIB)
    )
    return connection


def blobs(folder: Path) -> list[Path]:
    return [path for path in (folder / "data" / "blobs").rglob("*") if path.is_file()]


class TestS3:
    def test_the_bytes_may_lie_in_a_bucket(self, tmp_path: Path) -> None:
        with s3.running() as storage:
            environment = {**storage.environment, "PADDOCK_BLOBS": f"s3://{storage.bucket()}/stable"}
            with (
                serving(tmp_path, **environment) as server,
                client_of(server.url) as client,
            ):
                content = os.urandom(9 * MIB)
                made = client.files.create(file=("a.bin", content), purpose="batch")
                assert client.files.content(made.id).read() == content
                client.files.delete(made.id)
                with pytest.raises(openai.NotFoundError):
                    client.files.content(made.id)
        assert blobs(tmp_path) == []
