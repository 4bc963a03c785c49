"""Files of the web, from a server on this machine that does everything wrong, over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from paddock.errors import InvalidRequest
from paddock.services import addresses
from paddock.services.addresses import NOT_ALLOWED
from paddock.services.fetching import NOT_FETCHED, Limits, fetch

PARAM = "training_file"
LIMITS = Limits(size=1000, seconds=20.0, private=True)
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + pem)
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@contextlib.asynccontextmanager
async def serving(certificate: Path, answer: Answer) -> AsyncIterator[str]:
    """The address of a server that leaves everything to `answer`, which is told the path."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            await answer(head.split()[1].decode(), writer)
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def saying(*pieces: bytes) -> Answer:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(pieces))
        await writer.drain()

    return answer


def ok(body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % (len(body) if length is None else length), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def read(url: str, limits: Limits = LIMITS) -> bytes:
    return b"".join([piece async for piece in fetch(url, PARAM, limits)])


@pytest.mark.usefixtures("trusted")
class TestFetch:
    async def test_whole(self, certificate: Path) -> None:
        asked: list[str] = []

        async def answer(path: str, writer: asyncio.StreamWriter) -> None:
            asked.append(path)
            writer.write(ok(b"prompt,response\n"))

        async with serving(certificate, answer) as server:
            assert await read(f"{server}/rows.csv?key=1") == b"prompt,response\n"
        assert asked == ["/rows.csv?key=1"]

    async def test_in_chunks(self, certificate: Path) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        async with serving(certificate, saying(head, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) as server:
            assert await read(f"{server}/x") == b"abcde"

    async def test_sent_on(self, certificate: Path) -> None:
        async def answer(path: str, writer: asyncio.StreamWriter) -> None:
            moved = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
            writer.write(ok(b"here") if path == "/there" else moved)

        async with serving(certificate, answer) as server:
            assert await read(f"{server}/x") == b"here"

    async def test_the_environments_proxy_is_not_asked(
        self, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        async with serving(certificate, saying(ok(b"direct"))) as server:
            assert await read(f"{server}/x") == b"direct"

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404"),
            (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "answered 500"),
            (b"HTTP/1.1 206 Part\r\nContent-Length: 1\r\n\r\na", "answered 206"),
            (ok(b"a" * 1001), "more than 1000 bytes"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3e9\r\n" + b"a" * 1001,
                "more than",
            ),
            (ok(b"half", length=8), "connection failed"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "connection failed"),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil I close", "how long it is"),
            (ok(b"\x1f\x8b", b"Content-Encoding: gzip"), "sent it as gzip"),
            (b"HTTP/1.1 302 Found\r\nLocation: //[x\r\nContent-Length: 0\r\n\r\n", "sent on to what is no"),
            (b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n", "sent on more than 5"),
            (b"SSH-2.0-OpenSSH\r\n", "connection failed"),
            (b"", "connection failed"),
        ],
    )
    async def test_what_goes_wrong(self, certificate: Path, answer: bytes, said: str) -> None:
        async with serving(certificate, saying(answer)) as server:
            with pytest.raises(InvalidRequest, match=said) as caught:
                await read(f"{server}/x?signature=secret")
        assert (caught.value.code, caught.value.param) == (NOT_FETCHED, PARAM)
        assert "secret" not in caught.value.message

    async def test_a_body_without_end(self, certificate: Path) -> None:
        async def answer(path: str, writer: asyncio.StreamWriter) -> None:
            writer.write(ok(b"a", length=999))
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.02)

        async with serving(certificate, answer) as server:
            with pytest.raises(InvalidRequest, match=r"did not come within 0\.4 s"):
                await read(f"{server}/x", Limits(size=1000, seconds=0.4, private=True))

    async def test_a_slow_reader_takes_none_of_its_time(self, certificate: Path) -> None:
        async with serving(certificate, saying(ok(b"abc"))) as server:
            pieces = fetch(f"{server}/x", PARAM, Limits(size=1000, seconds=0.5, private=True))
            assert await anext(pieces) == b"abc"
            await asyncio.sleep(0.6)
            assert [piece async for piece in pieces] == []

    async def test_nobody_there(self) -> None:
        with pytest.raises(InvalidRequest, match="connection failed"):
            await read("https://127.0.0.1:1/x")


class TestWhereItMayNotGo:
    async def test_a_certificate_that_nobody_knows(self, certificate: Path) -> None:
        async with serving(certificate, saying(ok(b"a"))) as server:
            with pytest.raises(InvalidRequest, match="certificate"):
                await read(f"{server}/x")

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "169.254.169.254"])
    async def test_private_addresses(self, host: str) -> None:
        with pytest.raises(InvalidRequest, match="private network") as caught:
            await read(f"https://{host}/latest/meta-data", Limits(1000, 5.0))
        assert caught.value.code == NOT_ALLOWED

    @pytest.mark.usefixtures("trusted")
    @pytest.mark.parametrize(
        ("location", "said"),
        [
            ("https://127.0.0.2/x", "private network"),
            ("http://example.com/x", "must begin with https"),
            ("https://me:word@127.0.0.1/x", "name or password"),
            ("file:///etc/passwd", "such as"),
        ],
    )
    async def test_sent_on_to_where_nobody_may_go(
        self, certificate: Path, location: str, said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
        head = f"HTTP/1.1 307 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        async with serving(certificate, saying(head.encode())) as server:
            with pytest.raises(InvalidRequest, match=said):
                await read(f"{server}/x", Limits(1000, 5.0))

    @pytest.mark.usefixtures("trusted")
    async def test_connects_to_the_address_that_was_checked(
        self, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that means a public address when it is checked, and this machine a moment later."""
        answers = [["127.0.0.1"], ["127.0.0.2"]]

        async def resolve(host: str, port: int, param: str, *, private: bool) -> list[str]:
            return answers.pop(0)

        monkeypatch.setattr(addresses, "resolve", resolve)
        async with serving(certificate, saying(ok(b"a"))) as server:
            port = server.rpartition(":")[2]
            # The certificate is 127.0.0.1's, so that what answers there is seen to be it.
            with pytest.raises(InvalidRequest, match=r"certificate.*rebinding\.example|Hostname mismatch"):
                await read(f"https://rebinding.example:{port}/x")
        assert answers == [["127.0.0.2"]]
