"""Forms as clients and others send them, in pieces of every size."""

from __future__ import annotations

import pytest

from paddock.errors import BodyTooLarge, InvalidRequest
from paddock.gateway.http import Request
from paddock.gateway.incoming import Incoming
from paddock.gateway.multipart import LARGEST_FIELD, MOST_PARTS, Part, parts

KIND = "multipart/form-data; boundary=cut"
FILE = 'form-data; name="file"; filename="a.txt"'


class Sender:
    def hold(self) -> None: ...

    def read_on(self) -> None: ...

    def invite(self) -> None: ...


class Dripping(Incoming):
    """A body that comes in pieces of one size."""

    def __init__(self, body: bytes, size: int) -> None:
        super().__init__(Sender(), None, asks=False)
        self._pieces = iter([body[at : at + size] for at in range(0, len(body), size)])

    async def next_piece(self) -> bytes:
        return next(self._pieces, b"")


def part(disposition: str | bytes, content: bytes = b"x", *headers: str) -> bytes:
    if isinstance(disposition, str):
        disposition = disposition.encode()
    more = "".join(f"{line}\r\n" for line in headers).encode()
    return b"--cut\r\nContent-Disposition: %b\r\n%b\r\n%b\r\n" % (disposition, more, content)


def form(*sent: bytes) -> bytes:
    return b"".join(sent) + b"--cut--\r\n"


def request(body: bytes, kind: str = KIND, size: int = 2**20) -> Request:
    headers = {b"content-type": kind.encode("latin-1")} if kind else {}
    return Request(None, "POST", b"/", headers, b"", True, True, Dripping(body, size))  # type: ignore[arg-type]


async def read(incoming: Request, limit: int = 10**7) -> list[tuple[str, str | None, str, bytes]]:
    return [
        (one.name, one.filename, one.content_type, b"".join([piece async for piece in one.pieces()]))
        async for one in parts(incoming, limit)
    ]


async def refusal(body: bytes, kind: str = KIND) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await read(request(body, kind))
    return caught.value


class TestParts:
    @pytest.mark.parametrize("size", [1, 2, 7, 50, 10_000])
    async def test_in_pieces_of_any_size(self, size: int) -> None:
        tricky = b"\r\n--cu\r\n\r--cut\r\n--\r\n" * 20
        body = form(
            part('form-data; name="purpose"', b"batch"),
            part(FILE, tricky, "Content-Type: Text/Plain; charset=utf-8"),
            part('form-data; name="empty"', b""),
        )
        assert await read(request(body, size=size)) == [
            ("purpose", None, "", b"batch"),
            ("file", "a.txt", "text/plain", tricky),
            ("empty", None, "", b""),
        ]

    async def test_of_a_form_without_any(self) -> None:
        assert await read(request(form())) == []

    async def test_what_is_not_read_is_passed_over(self) -> None:
        body = form(part(FILE, b"x" * 100_000), part(FILE, b"y" * 100_000), part('form-data; name="a"', b"b"))
        seen: list[str] = []
        async for one in parts(request(body, size=1000), 10**6):
            if len(seen) == 1:
                assert await anext(one.pieces())
            seen.append(one.name)
        assert seen == ["file", "file", "a"]

    async def test_what_follows_the_form_is_passed_over(self) -> None:
        assert len(await read(request(form(part(FILE)) + b"\r\nepilogue" * 100, size=10))) == 1

    async def test_the_limit_is_the_whole_bodys(self) -> None:
        with pytest.raises(BodyTooLarge, match="limit of 1000 bytes"):
            await read(request(form(part(FILE, b"x" * 1000)), size=100), 1000)


class TestFilenames:
    @pytest.mark.parametrize(
        ("sent", "filename"),
        [
            (b'filename=""', ""),
            (b"filename=a.txt", "a.txt"),
            (b'filename="../../etc/passwd"', "../../etc/passwd"),
            (rb'filename="C:\dir\a.txt"', r"C:\dir\a.txt"),
            (rb'filename="a\"b\\c"', 'a"b\\c'),
            (b'filename="a%22b.txt"', 'a"b.txt'),
            (b'filename="100%.txt"', "100%.txt"),
            (b'filename="na%C3%AFve%20a%3Db.txt"', "naïve a=b.txt"),
            (b'filename="na%EFve b%20c.txt"', "na%EFve b%20c.txt"),
            (b"filename=\"a; filename*=utf-8''b\"", "a; filename*=utf-8''b"),
            ('filename="naïve ✓.txt"'.encode(), "naïve ✓.txt"),
            ('filename="naïve.txt"'.encode("latin-1"), "na\ufffdve.txt"),
            (b"filename=\"x\"; filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
            (b"filename*=utf-8'en'%00%FF", "\ufffd\ufffd"),
            (b"filename*=iso-8859-1''na%EFve; filename=x", "naïve"),
            (b'filename="a\0b"', "a\ufffdb"),
        ],
    )
    async def test_as_they_are_sent(self, sent: bytes, filename: str) -> None:
        body = form(part(b'form-data; name="file"; ' + sent))
        assert (await read(request(body)))[0][:2] == ("file", filename)

    async def test_names_of_fields_may_be_of_any_script(self) -> None:
        assert (await read(request(form(part('form-data; name="größe%22"')))))[0][0] == 'größe"'


class TestText:
    async def first(self, body: bytes) -> Part:
        return await anext(parts(request(body), 10**6))

    async def test_is_a_plain_fields(self) -> None:
        assert await (await self.first(form(part('form-data; name="a"', "ü".encode())))).text() == "ü"

    @pytest.mark.parametrize(
        ("disposition", "said"),
        [(FILE, "must be a plain field"), ('form-data; name="file"', "must be text in UTF-8")],
    )
    async def test_of_other_parts_is_refused(self, disposition: str, said: str) -> None:
        with pytest.raises(InvalidRequest, match=said) as caught:
            await (await self.first(form(part(disposition, b"\xff")))).text()
        assert caught.value.param == "file"


class TestBadForms:
    @pytest.mark.parametrize("kind", ["", "application/json", "multipart/mixed; boundary=cut"])
    async def test_another_content_type(self, kind: str) -> None:
        error = await refusal(form(part(FILE)), kind)
        assert (error.param, "multipart/form-data, not" in error.message) == ("Content-Type", True)

    @pytest.mark.parametrize(
        "kind", ["multipart/form-data", 'multipart/form-data; boundary=""', KIND + "x" * 300]
    )
    async def test_no_boundary(self, kind: str) -> None:
        error = await refusal(form(part(FILE)), kind)
        assert (error.param, "must name a boundary" in error.message) == ("Content-Type", True)

    async def test_torn_anywhere(self) -> None:
        body = form(part('form-data; name="a"', b"b"), part(FILE, b"content"))
        for end in range(len(body) - len(b"--\r\n") + 1):
            assert "ended before its last boundary" in (await refusal(body[:end])).message

    @pytest.mark.parametrize(
        "body",
        [
            b"junk" + form(part(FILE)),
            b"--cutter\r\n\r\n",
            b"--cut\r\nno colon\r\n\r\nx\r\n--cut--\r\n",
            b"--cut\r\nContent-Type: text/plain\r\n\r\nx\r\n--cut--\r\n",
            b"--cut\r\nContent-Disposition: attachment\r\n\r\nx\r\n--cut--\r\n",
            b"--cut\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
            b"--cut\r\n" + b"A: b\r\n" * 100 + b"\r\n",
            form(part(FILE, b"123", "Content-Length: 4")),
        ],
    )
    async def test_broken_framing(self, body: bytes) -> None:
        assert (await refusal(body)).message.startswith("the form is not valid multipart/form-data: ")

    @pytest.mark.parametrize("disposition", ["form-data", 'form-data; filename="x"', 'form-data; name=""'])
    async def test_a_part_without_a_name(self, disposition: str) -> None:
        assert "has no name" in (await refusal(form(part(disposition)))).message

    async def test_a_plain_field_too_long(self) -> None:
        assert await read(request(form(part('form-data; name="a"', b"x" * LARGEST_FIELD))))
        error = await refusal(form(part('form-data; name="a"', b"x" * (LARGEST_FIELD + 1))))
        assert (error.param, f"longer than {LARGEST_FIELD} bytes" in error.message) == ("a", True)

    async def test_too_many_parts(self) -> None:
        assert len(await read(request(form(*[part(FILE)] * MOST_PARTS)))) == MOST_PARTS
        error = await refusal(form(*[part(FILE)] * (MOST_PARTS + 1)))
        assert f"more than {MOST_PARTS} parts" in error.message

    async def test_bytes_in_disguise(self) -> None:
        assert await read(request(form(part(FILE, b"x", "Content-Transfer-Encoding: Binary"))))
        error = await refusal(form(part(FILE, b"eA==", "Content-Transfer-Encoding: base64")))
        assert (error.param, "'base64'" in error.message) == ("file", True)
