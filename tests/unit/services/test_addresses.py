"""Which addresses of the web callers may name."""

from __future__ import annotations

import pytest

from paddock.errors import InvalidRequest
from paddock.services.addresses import NOT_ALLOWED, is_public, parse, resolve

PARAM = "training_file"


class TestParse:
    @pytest.mark.parametrize(
        ("url", "scheme", "host", "port", "target", "netloc"),
        [
            ("https://example.com", "https", "example.com", 443, "/", "example.com"),
            (
                "HTTPS://Example.COM:8443/a/b?c=d#e",
                "https",
                "example.com",
                8443,
                "/a/b?c=d",
                "example.com:8443",
            ),
            ("https://[2001:db8::1]/x", "https", "2001:db8::1", 443, "/x", "[2001:db8::1]"),
            (
                "https://bücher.example/größe",
                "https",
                "xn--bcher-kva.example",
                443,
                "/gr%C3%B6%C3%9Fe",
                "xn--bcher-kva.example",
            ),
        ],
    )
    def test_what_it_names(
        self, url: str, scheme: str, host: str, port: int, target: str, netloc: str
    ) -> None:
        found = parse(url, PARAM, private=False)
        assert (found.scheme, found.host, found.port, found.target) == (scheme, host, port, target)
        assert found.netloc == netloc

    def test_is_shown_without_its_query(self) -> None:
        assert str(parse("https://a.example:99/b?signature=secret", PARAM, private=False)) == (
            "https://a.example:99/b"
        )

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("http://example.com/x", "https://"),
            ("https://user:word@example.com/x", "name or password"),
            ("https://@example.com/x", "name or password"),
            ("https://", "such as"),
            ("https://a:99999/", "such as"),
            ("https://[::1/", "such as"),
            ("ftp://example.com/x", "such as"),
            ("https://example.com/a b", "without spaces"),
            ("https://example.com/a\r\nHost: b", "without spaces"),
            ("https://example.com/" + "a" * 4000, "4000"),
            (f"https://{'a' * 70}.example/", "such as"),
        ],
    )
    def test_what_is_none(self, url: str, said: str) -> None:
        with pytest.raises(InvalidRequest, match=said) as caught:
            parse(url, PARAM, private=False)
        assert caught.value.param == PARAM
        assert "word" not in caught.value.message.replace("password", "")

    def test_an_operator_may_allow_what_is_not_encrypted(self) -> None:
        assert parse("http://example.com:80/x", PARAM, private=True).netloc == "example.com"


class TestIsPublic:
    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"])
    def test_of_the_internet(self, address: str) -> None:
        assert is_public(address)

    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
        ],
    )
    def test_not_of_the_internet(self, address: str) -> None:
        assert not is_public(address)


class TestResolve:
    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "::1", "::ffff:127.0.0.1"]
    )
    async def test_this_machine_however_it_is_written(self, host: str) -> None:
        with pytest.raises(InvalidRequest, match="allow_private_urls") as caught:
            await resolve(host, 443, PARAM, private=False)
        assert (caught.value.code, caught.value.param) == (NOT_ALLOWED, PARAM)

    async def test_one_private_address_among_others_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("paddock.services.addresses.is_public", lambda address: ":" in address)
        monkeypatch.setattr("asyncio.get_running_loop", lambda: Names("2606:4700::1111", "8.8.8.8"))
        with pytest.raises(InvalidRequest, match="private network"):
            await resolve("both.example", 443, PARAM, private=False)

    async def test_an_operator_may_allow_it(self) -> None:
        assert await resolve("127.0.0.1", 443, PARAM, private=True) == ["127.0.0.1"]

    async def test_a_name_that_nobody_has(self) -> None:
        with pytest.raises(InvalidRequest, match="there is no host"):
            await resolve("nobody.invalid", 443, PARAM, private=False)


class Names:
    """A loop whose DNS knows these addresses for every name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def getaddrinfo(self, host: str, port: int, *, type: int) -> list[tuple[object, ...]]:
        return [(0, type, 0, "", (one, port)) for one in self._addresses]
