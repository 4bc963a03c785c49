"""Files over HTTP in both dialects: one store behind them, and each says in its own shape what is wrong."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paddock.gateway.app import App, Mount
from paddock.gateway.llm_engine import errors as llm_engine_errors
from paddock.gateway.llm_engine import files as llm_engine_files
from paddock.gateway.metrics import Metrics
from paddock.gateway.openai import errors as openai_errors
from paddock.gateway.openai import files as openai_files
from paddock.gateway.server import HttpServer
from paddock.services import files, jobs
from paddock.services.deployments import LOCAL
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform
from tests.sqlite import store_in
from tests.store.fakes import platform_of

OPENAI, LLM_ENGINE = "/v1/files", "/llm-engine/v1/files"
MIB = 2**20
JSON = dict[str, Any]


@dataclass
class Api:
    """What a test drives and reads."""

    client: httpx2.AsyncClient
    platform: Platform
    folder: Path
    port: int

    async def upload(self, content: bytes = b"text", name: str = "a.txt", **fields: str) -> JSON:
        """Through OpenAI's route."""
        response = await self.client.post(
            OPENAI, files={"file": (name, content)}, data={"purpose": "batch", **fields}
        )
        assert response.status_code == 200, response.text
        found: JSON = response.json()
        return found

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> JSON:
        """The JSON of an answer that has this status."""
        response = await self.client.request(method, path, **more)
        assert response.status_code == status, response.text
        found: JSON = response.json()
        return found

    async def refused(self, path: str = OPENAI, status: int = 400, **more: Any) -> str:
        """What is wrong with an upload, of which nothing is left."""
        answer = await self.ask("POST", path, status, **more)
        assert self.on_disk() == []
        assert (await self.ask("GET", OPENAI))["data"] == []
        return message(answer)

    def on_disk(self) -> list[Path]:
        return [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]


def message(answer: JSON) -> str:
    """Of an error in either dialect's shape."""
    if "detail" in answer:
        assert answer.keys() == {"detail"}
        return str(answer["detail"])
    assert answer["error"].keys() == {"message", "type", "param", "code"}
    return str(answer["error"]["message"])


@contextlib.asynccontextmanager
async def serving_files(folder: Path, **settings: Any) -> AsyncIterator[Api]:
    store = store_in(folder)
    platform = platform_of(store, folder, **settings)
    mounts = [
        Mount("/v1", "OpenAI", openai_errors.error_body, openai_files.file_routes(platform)),
        Mount(
            "/llm-engine",
            "LLM Engine",
            llm_engine_errors.error_body,
            llm_engine_files.file_routes(platform),
        ),
    ]
    app = App(mounts, Metrics(lambda: ()), None)
    http = HttpServer(app, app.refuse, platform.settings.max_body, app.receives)
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Api(client, platform, folder, port)
    finally:
        await http.close()
        store.close()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving_files(tmp_path) as found:
        yield found


def form(*parts: tuple[str, str | None, bytes]) -> dict[str, Any]:
    """A request whose parts (name, filename, content) come in this order."""
    lines = b""
    for name, filename, content in parts:
        named = "" if filename is None else f'; filename="{filename}"'
        lines += f'--xyz\r\ncontent-disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()
        lines += content + b"\r\n"
    return {
        "content": lines + b"--xyz--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=xyz"},
    }


FILE = ("file", "a.txt", b"text")
PURPOSE = ("purpose", None, b"batch")


class TestOpenAI:
    async def test_upload(self, api: Api) -> None:
        found = await api.upload(b'{"custom_id": "1"}\n', "rows.jsonl")
        assert found == {
            "id": found["id"],
            "object": "file",
            "bytes": 19,
            "created_at": found["created_at"],
            "expires_at": None,
            "filename": "rows.jsonl",
            "purpose": "batch",
            "status": "processed",
            "status_details": None,
        }
        assert found["id"].startswith("file-")
        assert isinstance(found["created_at"], int)
        assert found == await api.ask("GET", f"{OPENAI}/{found['id']}")

    @pytest.mark.parametrize("purpose", ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"])
    async def test_purposes(self, api: Api, purpose: str) -> None:
        assert (await api.upload(purpose=purpose))["purpose"] == purpose
        found = await api.ask("GET", OPENAI, params={"purpose": purpose})
        assert len(found["data"]) == 1

    @pytest.mark.parametrize("parts", [(FILE, PURPOSE), (PURPOSE, FILE)])
    async def test_fields_come_in_any_order(self, api: Api, parts: Any) -> None:
        assert (await api.ask("POST", OPENAI, **form(*parts)))["bytes"] == 4

    async def test_empty(self, api: Api) -> None:
        found = await api.upload(b"")
        assert found["bytes"] == 0
        response = await api.client.get(f"{OPENAI}/{found['id']}/content")
        assert (response.status_code, response.content) == (200, b"")

    async def test_bytes_come_back_as_they_were(self, api: Api) -> None:
        content = os.urandom(3 * MIB + 7)
        found = await api.upload(content, "a.bin")
        response = await api.client.get(f"{OPENAI}/{found['id']}/content")
        assert response.content == content
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-length"] == str(len(content))
        head = await api.client.head(f"{OPENAI}/{found['id']}/content")
        assert (head.headers["content-length"], head.content) == (str(len(content)), b"")

    async def test_it_expires(self, api: Api) -> None:
        anchored = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        found = await api.upload(**anchored)
        assert found["expires_at"] - found["created_at"] in (3599, 3600)

    async def test_an_expired_one_is_not_found(self, api: Api) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"text"

        received = await files.receive(api.platform, pieces())
        await files.keep(api.platform, LOCAL, received, "a", "batch", time.time() - 1)
        for path in (f"{OPENAI}/{received.id}", f"{OPENAI}/{received.id}/content"):
            await api.ask("GET", path, 404)

    async def test_pages(self, api: Api) -> None:
        made = [(await api.upload(name=str(number)))["id"] for number in range(5)]
        page = await api.ask("GET", OPENAI, params={"limit": 2})
        assert (page["object"], page["has_more"]) == ("list", True)
        assert [file["id"] for file in page["data"]] == [made[4], made[3]]
        assert (page["first_id"], page["last_id"]) == (made[4], made[3])
        page = await api.ask("GET", OPENAI, params={"after": made[1], "order": "asc"})
        assert [file["id"] for file in page["data"]] == made[2:]
        assert not page["has_more"]
        nothing = await api.ask("GET", OPENAI, params={"purpose": "evals"})
        assert nothing == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}

    async def test_delete(self, api: Api) -> None:
        found = await api.upload()
        path = f"{OPENAI}/{found['id']}"
        assert await api.ask("DELETE", path) == {"id": found["id"], "object": "file", "deleted": True}
        assert api.on_disk() == []
        for method in ("GET", "DELETE"):
            answer = await api.ask(method, path, 404)
            assert answer["error"]["code"] == "file_not_found"

    async def test_not_while_a_job_reads_it(self, api: Api) -> None:
        found = await api.upload()
        asked = NewJob(jobs.new_id("batch"), "batch", "openai", {}, 60.0, input=f"file:{found['id']}")
        await jobs.create(api.platform, LOCAL, asked)
        for path in (OPENAI, LLM_ENGINE):
            answer = await api.ask("DELETE", f"{path}/{found['id']}", 409)
            assert "is read by job" in message(answer)

    @pytest.mark.parametrize(
        ("filename", "plain"),
        [
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("馬 🐎.jsonl", "_ _.jsonl"),
            ("a%22b;c=d", "a_22b;c=d"),
            ("C:\\dir\\a.txt", "C__dir_a.txt"),
        ],
    )
    async def test_a_name_is_shown_and_nothing_else(self, api: Api, filename: str, plain: str) -> None:
        received = await files.receive(api.platform, aiter_of(b"text"))
        await files.keep(api.platform, LOCAL, received, filename, "batch")
        response = await api.client.get(f"{OPENAI}/{received.id}/content")
        disposition = response.headers["content-disposition"]
        assert disposition.startswith(f"attachment; filename=\"{plain}\"; filename*=UTF-8''")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert (await api.ask("GET", f"{OPENAI}/{received.id}"))["filename"] == filename

    async def test_the_name_is_kept_as_it_came(self, api: Api) -> None:
        assert (await api.upload(name="../../etc/pässwd"))["filename"] == "../../etc/pässwd"
        assert [path.parent.parent.name for path in api.on_disk()] == ["files"]


async def aiter_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class TestBadUploads:
    @pytest.mark.parametrize(
        ("parts", "wrong"),
        [
            ([PURPOSE], "file is required"),
            ([FILE], "purpose is required"),
            ([FILE, ("purpose", None, b"fun")], "purpose must be one of assistants, batch, fine-tune, "),
            ([("purpose", None, b"batch_output"), FILE], "purpose must be one of .*, not 'batch_output'"),
            ([PURPOSE, ("file", None, b"text")], "file must be a file"),
            ([PURPOSE, ("file", "", b"text")], "from 1 to 1000 characters, not 0"),
            ([PURPOSE, ("file", "x" * 1001, b"text")], "from 1 to 1000 characters, not 1001"),
            ([PURPOSE, ("file", "a\tb", b"text")], "no control characters"),
            ([PURPOSE, FILE, FILE], "'file' is given twice"),
            ([PURPOSE, FILE, PURPOSE], "'purpose' is given twice"),
            ([PURPOSE, FILE, ("color", None, b"red")], "'color' is not known here; known are: file, purpose"),
            ([PURPOSE, ("purpose", "a", b"text"), FILE], "'purpose' is given twice"),
            ([FILE, ("purpose", "a.txt", b"batch")], "'purpose' must be a plain field"),
            ([FILE, PURPOSE, ("expires_after[seconds]", None, b"3600")], "must be given together"),
            ([FILE, PURPOSE, ("expires_after[anchor]", None, b"created_at")], "must be given together"),
            ([FILE, PURPOSE, ("expires_after[anchor]", None, b"now")], "must be created_at, not 'now'"),
            (
                [FILE, PURPOSE, ("expires_after[seconds]", None, b"60")],
                "must be a whole number from 3600 to 2592000, not '60'",
            ),
        ],
    )
    async def test_forms(self, api: Api, parts: Any, wrong: str) -> None:
        assert re.search(wrong.replace("[", r"\["), await api.refused(**form(*parts)))

    async def test_no_form(self, api: Api) -> None:
        for path in (OPENAI, LLM_ENGINE):
            assert "multipart/form-data" in await api.refused(path, json={"purpose": "batch"})

    async def test_one_that_is_cut_off(self, api: Api) -> None:
        whole = form(FILE, PURPOSE)
        whole["content"] = whole["content"][:-20]
        assert "ended before" in await api.refused(**whole)

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=10001", "limit=x", "order=up", "purpose=fun", "page=2"]
    )
    async def test_pages(self, api: Api, query: str) -> None:
        answer = await api.ask("GET", f"{OPENAI}?{query}", 400)
        assert answer["error"]["param"] == query.partition("=")[0]

    async def test_after_what_is_not_there(self, api: Api) -> None:
        await api.ask("GET", f"{OPENAI}?after=file-1", 404)

    @pytest.mark.parametrize("identity", ["file-1", "x", "..%2f..%2fetc%2fpasswd", "%ff"])
    @pytest.mark.parametrize("path", [OPENAI, LLM_ENGINE])
    async def test_unknown_ids(self, api: Api, path: str, identity: str) -> None:
        for method, tail in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
            assert "there is no file" in message(await api.ask(method, f"{path}/{identity}{tail}", 404))

    @pytest.mark.parametrize("path", [OPENAI, LLM_ENGINE])
    async def test_too_large(self, tmp_path: Path, path: str) -> None:
        async with serving_files(tmp_path, max_file=MIB) as api:
            purpose = [PURPOSE] if path == OPENAI else []
            for size in (MIB + 1, 3 * MIB):
                wrong = await api.refused(path, 413, **form(*purpose, ("file", "a", bytes(size))))
                assert wrong == f"the file is larger than {MIB} bytes, the most that is taken here"
            await api.ask("POST", path, **form(*purpose, ("file", "a", bytes(MIB))))

    async def test_a_file_is_no_body(self, tmp_path: Path) -> None:
        async with serving_files(tmp_path, max_body=1000) as api:
            assert (await api.upload(bytes(5000)))["bytes"] == 5000

    @pytest.fixture
    def short_disk(self) -> Iterator[None]:
        """No file of this process gets longer than 2 MiB meanwhile."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @pytest.mark.usefixtures("short_disk")
    @pytest.mark.parametrize("path", [OPENAI, LLM_ENGINE])
    async def test_a_disk_that_takes_no_more(self, api: Api, path: str) -> None:
        purpose = [PURPOSE] if path == OPENAI else []
        wrong = await api.refused(path, 503, **form(*purpose, ("file", "a", bytes(5 * MIB))))
        assert "File too large" in wrong


class TestLlmEngine:
    async def test_upload(self, api: Api) -> None:
        text = "naïve 馬 🐎"
        made = await api.ask("POST", LLM_ENGINE, files={"file": ("a.txt", text.encode())})
        assert made.keys() == {"id"}
        path = f"{LLM_ENGINE}/{made['id']}"
        assert await api.ask("GET", path) == {"id": made["id"], "filename": "a.txt", "size": 9}
        assert await api.ask("GET", f"{path}/content") == {"id": made["id"], "content": text}
        assert await api.ask("DELETE", path) == {"deleted": True}
        await api.ask("GET", path, 404)

    async def test_each_dialect_sees_the_others(self, api: Api) -> None:
        theirs = await api.ask("POST", LLM_ENGINE, files={"file": ("b.txt", "馬".encode())})
        ours = await api.upload(b"text")
        found = await api.ask("GET", LLM_ENGINE)
        assert found == {
            "files": [
                {"id": ours["id"], "filename": "a.txt", "size": 4},
                {"id": theirs["id"], "filename": "b.txt", "size": 1},
            ]
        }
        shown = await api.ask("GET", f"{OPENAI}/{theirs['id']}")
        assert (shown["purpose"], shown["bytes"]) == ("user_data", 3)

    async def test_what_is_no_text(self, api: Api) -> None:
        wrong = await api.refused(LLM_ENGINE, files={"file": ("a.bin", b"\xff\xfe")})
        assert wrong == "file must be text in UTF-8; any other file can be stored through POST /v1/files"
        made = await api.upload(b"\xff\xfe\x00")
        assert (await api.ask("GET", f"{LLM_ENGINE}/{made['id']}"))["size"] == 3
        answer = await api.ask("GET", f"{LLM_ENGINE}/{made['id']}/content", 400)
        assert answer["detail"].startswith(f"file {made['id']} is not text in UTF-8")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            '"quotes" \\ and\nlines\r\t\x00\x1f\x7f',
            "\ufeffa mark",
            # Characters of 2, 3 and 4 bytes lie across the ends of pieces.
            "ab" + "ü" * 300_000,
            "a" + "馬" * 300_000,
            "a" + "🐎" * 300_000,
            '"\n' * 400_000,
        ],
        ids=["empty", "escapes", "mark", "two bytes", "three bytes", "four bytes", "many escapes"],
    )
    async def test_content_is_json_whatever_it_is(self, api: Api, text: str) -> None:
        made = await api.ask("POST", LLM_ENGINE, files={"file": ("a", text.encode())})
        response = await api.client.get(f"{LLM_ENGINE}/{made['id']}/content")
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.content) == {"id": made["id"], "content": text}
        assert (await api.ask("GET", f"{LLM_ENGINE}/{made['id']}"))["size"] == len(text)

    @pytest.mark.parametrize(
        ("parts", "wrong"),
        [
            ([], "file is required"),
            ([("file", None, b"text")], "file must be a file"),
            ([FILE, PURPOSE], "'purpose' is not known here; known are: file"),
            ([FILE, FILE], "'file' is given twice"),
        ],
    )
    async def test_bad_forms(self, api: Api, parts: Any, wrong: str) -> None:
        assert wrong in await api.refused(LLM_ENGINE, **form(*parts))


class TestBytesThatAreGone:
    @pytest.mark.parametrize("path", [OPENAI, LLM_ENGINE])
    async def test_content_is_an_error_not_an_empty_answer(self, api: Api, path: str) -> None:
        made = await api.upload()
        for one in api.on_disk():
            one.unlink()
        assert "are not there" in message(await api.ask("GET", f"{path}/{made['id']}/content", 404))


class TestBigFiles:
    async def test_up_and_down(self, api: Api) -> None:
        piece = os.urandom(MIB)
        count, digest = 64, hashlib.sha256()

        async def body() -> AsyncIterator[bytes]:
            head = form(PURPOSE, FILE)["content"].partition(b"text")[0]
            yield head
            for _ in range(count):
                yield piece
            yield b"\r\n--xyz--\r\n"

        headers = {"content-type": "multipart/form-data; boundary=xyz"}
        made = await api.ask("POST", OPENAI, content=body(), headers=headers)
        assert made["bytes"] == count * MIB
        async with api.client.stream("GET", f"{OPENAI}/{made['id']}/content") as response:
            async for got in response.aiter_bytes():
                digest.update(got)
        assert digest.hexdigest() == hashlib.sha256(piece * count).hexdigest()
        assert digest.hexdigest() == (await files.get(api.platform, LOCAL, made["id"])).sha256
