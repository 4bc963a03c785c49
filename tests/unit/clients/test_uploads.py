"""Files in forms: streamed, with a length where there is one, and sent again only from their beginning."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import gzip
import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddock.clients.fireworks.error import APIConnectionError, RateLimitError, from_failure
from paddock.clients.transport import AsyncTransport, Call, Transport, Upload
from tests.unit.clients.server import Exchange, Server

Send = Callable[[str, Upload], Any]


def send(url: str, upload: Upload) -> Any:
    return Transport(url, from_failure, timeout=5).request(Call("POST", "files", dict, upload=upload))


def asend(url: str, upload: Upload) -> Any:
    call = Call("POST", "files", dict, upload=upload)
    return asyncio.run(AsyncTransport(url, from_failure, timeout=5).request(call))


either_side = pytest.mark.parametrize("send", [send, asend], ids=["sync", "async"])


def parts(exchange: Exchange) -> dict[str, tuple[str | None, bytes]]:
    """Each part's file name and content, as the standard library reads forms."""
    head = f"content-type: {exchange.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + exchange.body)
    found: dict[str, tuple[str | None, bytes]] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_content()
        found[str(name)] = (part.get_filename(), content.encode() if isinstance(content, str) else content)
    return found


def taking(exchange: Exchange) -> None:
    exchange.answer({"id": "file-1"})


class Pipe(io.RawIOBase):
    """Bytes that come once, as from another process."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(size)


@either_side
class TestWhatIsSent:
    def test_a_file_of_bytes(self, send: Send, tmp_path: Path) -> None:
        path = tmp_path / "prompts.json"
        path.write_bytes(b"\x00\xff\r\n" * 200_000)
        with Server(taking) as server, path.open("rb") as file:
            assert send(server.url, Upload("file", file)) == {"id": "file-1"}
            assert not file.closed
        exchange = server.exchanges[0]
        assert parts(exchange) == {"file": ("prompts.json", path.read_bytes())}
        assert int(exchange.headers["content-length"]) == len(exchange.body)
        assert "transfer-encoding" not in exchange.headers

    def test_text_goes_out_as_utf_8(self, send: Send, tmp_path: Path) -> None:
        path = tmp_path / "prompts.csv"
        path.write_text("Was frißt ein Pferd?\n" * 50_000, encoding="latin-1")
        with Server(taking) as server, path.open(encoding="latin-1") as file:
            send(server.url, Upload("file", file))
        exchange = server.exchanges[0]
        assert exchange.headers["transfer-encoding"] == "chunked"
        assert parts(exchange)["file"][1] == "Was frißt ein Pferd?\n".encode() * 50_000

    def test_from_where_it_stands(self, send: Send) -> None:
        with Server(taking) as server:
            for file in (io.BytesIO(b"a,b\n1,2\n"), io.StringIO("a,b\n1,2\n")):
                file.seek(4)
                send(server.url, Upload("file", file))
        assert [parts(each)["file"] for each in server.exchanges] == [("file", b"1,2\n")] * 2

    def test_without_a_length(self, send: Send) -> None:
        with Server(taking) as server:
            send(server.url, Upload("file", Pipe(b"hay")))
        assert server.exchanges[0].headers["transfer-encoding"] == "chunked"
        assert parts(server.exchanges[0])["file"] == ("file", b"hay")

    def test_what_a_compressed_file_holds(self, send: Send, tmp_path: Path) -> None:
        path = tmp_path / "prompts.gz"
        with gzip.open(path, "wb") as file:
            file.write(b"hay" * 1000)
        with Server(taking) as server, gzip.open(path) as opened:
            send(server.url, Upload("file", opened, filename="prompts"))
        assert parts(server.exchanges[0])["file"] == ("prompts", b"hay" * 1000)

    def test_an_empty_file(self, send: Send) -> None:
        with Server(taking) as server:
            send(server.url, Upload("file", io.BytesIO()))
        assert parts(server.exchanges[0])["file"] == ("file", b"")

    def test_other_parts_and_names(self, send: Send) -> None:
        upload = Upload("file", io.BytesIO(b"x"), filename='Pf"er\r\nde.json', beside={"purpose": "batch"})
        with Server(taking) as server:
            send(server.url, upload)
        assert parts(server.exchanges[0]) == {
            "purpose": (None, b"batch"),
            "file": ("Pf%22er%0D%0Ade.json", b"x"),
        }

    def test_the_name_of_what_has_none(self, send: Send) -> None:
        begin, end = os.pipe()
        os.write(end, b"hay")
        os.close(end)
        with Server(taking) as server, os.fdopen(begin, "rb") as file:
            send(server.url, Upload("file", file))
        assert parts(server.exchanges[0])["file"] == ("file", b"hay")


@either_side
@pytest.mark.usefixtures("quick_retries")
class TestAgain:
    def test_a_busy_server_gets_it_from_its_beginning(self, send: Send) -> None:
        with Server(lambda exchange: exchange.answer({}, 503), taking) as server:
            for file in (io.BytesIO(b"skipped,hay"), io.StringIO("skipped,hay")):
                file.seek(8)
                send(server.url, Upload("file", file))
        assert [parts(each)["file"][1] for each in server.exchanges] == [b"hay"] * 3

    def test_not_what_came_once(self, send: Send) -> None:
        with Server(lambda exchange: exchange.answer({}, 429), taking) as server:
            with pytest.raises(RateLimitError):
                send(server.url, Upload("file", Pipe(b"hay")))
        assert len(server.exchanges) == 1

    def test_not_after_it_may_have_arrived(self, send: Send) -> None:
        with Server(Exchange.hang_up, taking) as server:
            with pytest.raises(APIConnectionError):
                send(server.url, Upload("file", io.BytesIO(b"hay")))
        assert len(server.exchanges) == 1


@either_side
class TestChanges:
    def test_a_file_that_grows_is_sent_as_it_was(self, send: Send, tmp_path: Path) -> None:
        path = tmp_path / "growing"
        path.write_bytes(b"hay")
        with Server(taking) as server, path.open("rb") as file:
            upload = Upload("file", file)
            path.write_bytes(b"hay and oats")
            send(server.url, upload)
        assert parts(server.exchanges[0])["file"][1] == b"hay"

    def test_a_file_that_shrinks_is_an_error(self, send: Send, tmp_path: Path) -> None:
        path = tmp_path / "shrinking"
        path.write_bytes(b"hay and oats")
        with Server(taking) as server, path.open("rb") as file:
            upload = Upload("file", file)
            path.write_bytes(b"hay")
            with pytest.raises(OSError, match="became 9 bytes shorter"):
                send(server.url, upload)

    def test_a_file_that_cannot_be_read_says_so_itself(self, send: Send, tmp_path: Path) -> None:
        path = tmp_path / "latin"
        path.write_bytes("Pferdeäpfel".encode("latin-1"))
        with Server(taking) as server, path.open(encoding="utf-8") as file:
            with pytest.raises(UnicodeDecodeError):
                send(server.url, Upload("file", file))


def test_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            upload = Upload("file", file)
            assert sum(len(piece) for piece in upload) == upload.length
            assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
        finally:
            tracemalloc.stop()
