"""Forms with files as published clients send them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
import requests

from paddock.gateway.http import Request, Response
from paddock.gateway.multipart import parts
from tests.api.receiving import serving, upload
from tests.api.wire import connected

NAMES = ["prompts.jsonl", "naïve ✓.txt", 'a"b.txt', "a b;c=d.txt"]
CONTENT = bytes(range(256)) * 5_000

Client = Callable[[str, Path], Awaitable[Any]]


async def describe(request: Request) -> Response:
    seen = []
    async for part in parts(request, 10**8):
        if part.filename is None:
            seen.append([part.name, await part.text()])
        else:
            data = b"".join([piece async for piece in part.pieces()])
            seen.append([part.name, part.filename, data == CONTENT])
    return Response(json.dumps(seen).encode())


async def with_requests(url: str, file: Path) -> Any:
    def post() -> Any:
        with file.open("rb") as content:
            answer = requests.post(url, data={"purpose": "batch ü"}, files={"file": content}, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return await asyncio.to_thread(post)


async def with_httpx2(url: str, file: Path) -> Any:
    async with httpx2.AsyncClient(timeout=20) as client:
        with file.open("rb") as content:
            answer = await client.post(url, data={"purpose": "batch ü"}, files={"file": (file.name, content)})
        assert answer.status_code == 200, answer.text
        return answer.json()


async def with_aiohttp(url: str, file: Path) -> Any:
    form = aiohttp.FormData()
    form.add_field("purpose", "batch ü")
    with file.open("rb") as content:
        form.add_field("file", content, filename=file.name)
        async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json(content_type=None)


async def with_curl(url: str, file: Path) -> Any:
    """It asks before it sends (`Expect: 100-continue`), and sends chunks if told to."""
    name = file.name.replace("\\", "\\\\").replace('"', '\\"')
    form = ["-F", "purpose=batch ü", "-F", f'file=@"{file.parent}/{name}"']
    headers = ["-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked"]
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--fail-with-body", *headers, *form, url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return json.loads(output)


class TestClients:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize(
        "client",
        [
            with_requests,
            with_httpx2,
            with_aiohttp,
            pytest.param(
                with_curl, marks=pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
            ),
        ],
    )
    async def test_a_field_and_a_file(self, client: Client, name: str, tmp_path: Path) -> None:
        file = tmp_path / name
        file.write_bytes(CONTENT)
        async with serving(upload(describe)) as on:
            seen = await client(f"http://127.0.0.1:{on.port}/upload", file)
        assert seen == [["purpose", "batch ü"], ["file", file.name, True]]

    async def test_a_torn_form_is_refused_and_its_connection_goes_on(self) -> None:
        body = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of'
        head = (
            b"POST /upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        async with serving(upload(describe)) as on, connected(on.port) as wire:
            for _ in range(2):
                wire.send(head + body)
                answer = await wire.answer()
                assert (answer.status, "cut off" in answer.json()["message"]) == (400, True)
