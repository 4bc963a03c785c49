"""Whom a request comes from, by what it sends."""

from __future__ import annotations

import base64
import dataclasses
import time
from typing import Any

import pytest

from paddock.errors import Forbidden, Unauthorized
from paddock.gateway.keyring import NOBODY, ChangedKeys, Keyring
from paddock.gateway.pages import Pages
from paddock.main.front import new_keyring
from paddock.schemas.limits import Limits
from paddock.services.keys import ADMIN, ANYBODY, PASSER_BY, Key, digest
from paddock.services.projects import Project
from paddock.settings import Settings

SECRET, OLD = "paddock_new", "paddock_old"
ANN = Key("key-ann", "shop", "Ann")


def keyring(key: Key = ANN, *, required: bool = True, old: str = "") -> Keyring:
    """One that has this key, with `SECRET`."""
    made = Keyring(required)
    made.follow(ChangedKeys([(key, digest(SECRET), digest(old) if old else "")], []))
    return made


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


def refused(ring: Keyring, **headers: bytes) -> Unauthorized:
    with pytest.raises(Unauthorized) as caught:
        find(ring, **headers)
    return caught.value


def find(ring: Keyring, **headers: bytes) -> Key:
    return ring.find({name.replace("_", "-").encode(): value for name, value in headers.items()})


class TestWays:
    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": b"Bearer paddock_new"},
            {"authorization": b"  bearer   paddock_new "},
            {"authorization": b"BEARER paddock_new"},
            {"authorization": basic(b"paddock_new:")},
            {"authorization": basic(b"paddock_new:whatever")},
            {"authorization": basic(b"paddock_new")},
            {"authorization": basic(b":paddock_new")},
            {"x_api_key": b" paddock_new "},
            {"authorization": basic(b"paddock_new:"), "x_api_key": b"paddock_new"},
            {"authorization": b"Bearer none", "x_api_key": b"paddock_new"},
            {"authorization": b"Digest what", "x_api_key": b"paddock_new"},
        ],
    )
    def test_each(self, headers: dict[str, bytes]) -> None:
        ring = keyring()
        assert find(ring, **headers) is find(ring, **headers) is ANN

    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": b"Bearer paddock_ne"},
            {"authorization": b"Bearer paddock_new2"},
            {"authorization": b"Bearer PADDOCK_NEW"},
            {"authorization": b"Bearer key-ann"},
            {"authorization": b"Bearer " + digest(SECRET).encode()},
            {"authorization": b"Bearer paddock_\xe9\xff\x00"},
            {"authorization": b"Bearer paddock_token.key-ann.9999999999.00"},
            {"authorization": b"Bearer " + b"paddock_" * 8192},
            {"authorization": basic(b"Ann:paddock_new")},
            {"authorization": basic(b"\xff\xfe\x00:")},
            {"x_api_key": b"\xff" * 600},
        ],
    )
    def test_what_is_none(self, headers: dict[str, bytes]) -> None:
        assert refused(keyring(), **headers).code == "invalid_api_key"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": b""},
            {"authorization": b"Bearer"},
            {"authorization": b"Bearer   "},
            {"authorization": b"paddock_new"},
            {"authorization": b"Basic %%%"},
            {"authorization": b"Basic YWJj\xff"},
            {"authorization": b"Basic"},
            {"authorization": basic(b":")},
            {"authorization": b"\xff\xfe"},
            {"x_api_key": b"  "},
        ],
    )
    def test_nothing_that_could_be_one(self, headers: dict[str, bytes]) -> None:
        error = refused(keyring(), **headers)
        assert error.code == "missing_api_key"
        assert "Authorization: Bearer KEY" in error.message


class TestOpen:
    """A server that wants no keys, and has some."""

    @pytest.mark.parametrize("value", [b"Bearer any", b"Bearer sk-123", b"Basic %%%", basic(b"root:"), b""])
    def test_what_looks_like_no_key_is_anybodys(self, value: bytes) -> None:
        assert find(keyring(required=False), authorization=value) is ANYBODY
        assert find(keyring(required=False), x_api_key=value) is ANYBODY

    def test_a_key_is_still_a_key(self) -> None:
        ring = keyring(required=False)
        assert find(ring, x_api_key=b"paddock_new") is ANN
        assert "mistyped" in refused(ring, x_api_key=b"paddock_nwe").message

    def test_a_revoked_one_is_not_anybodys(self) -> None:
        ring = keyring(dataclasses.replace(ANN, revoked_at=1.0), required=False)
        assert refused(ring, x_api_key=b"paddock_new").code == "api_key_revoked"

    def test_credentials(self) -> None:
        ring = keyring(required=False)
        assert ring.authenticate("me", "secret") is ANYBODY
        for identity, secret in (("key-ann", "secret"), ("me", SECRET), ("me", "paddock_other")):
            with pytest.raises(Unauthorized):
                ring.authenticate(identity, secret)


class TestNobody:
    def test_needs_no_key(self) -> None:
        assert keyring().find_or_nobody({}) is NOBODY
        assert keyring().find_or_nobody({b"authorization": b"Bearer wrong"}) is NOBODY
        assert keyring().find_or_nobody({b"authorization": b"Bearer paddock_new"}) is ANN
        assert not NOBODY.scopes
        assert not NOBODY.project


class TestPages:
    """A server on loopback that wants no keys."""

    @staticmethod
    def guarded() -> Keyring:
        ring = Keyring(pages=Pages("https://models.example.com/"))
        ring.follow(ChangedKeys([(ANN, digest(SECRET), "")], []))
        return ring

    @pytest.mark.parametrize(
        ("host", "origin"),
        [
            (b"127.0.0.1:8800", None),
            (b"[::1]:8800", None),
            (b"LOCALHOST:8800", None),
            (b"foal.localhost", None),
            (b"paddock:8800", None),
            (b"10.0.0.5", None),
            (b"models.example.com", None),
            (b"Models.Example.com.:443", None),
            (None, None),
            (b"127.0.0.1:8800", b"http://localhost:3000"),
            (b"127.0.0.1:8800", b"http://[::1]:3000"),
            (b"127.0.0.1:8800", b"http://192.168.1.5"),
            (b"127.0.0.1:8800", b"http://app.localhost"),
            (b"127.0.0.1:8800", b"http://devbox:5173"),
            (b"127.0.0.1:8800", b"chrome-extension://abcdef"),
            (b"127.0.0.1:8800", b"https://models.example.com"),
            (b"8.8.8.8:8800", b"http://8.8.8.8:8800"),
        ],
    )
    def test_what_is_answered(self, host: bytes | None, origin: bytes | None) -> None:
        sent = {b"host": host, b"origin": origin}
        headers = {name: value for name, value in sent.items() if value is not None}
        ring = self.guarded()
        assert ring.find(headers) is ring.find(headers) is ANYBODY

    @pytest.mark.parametrize(
        ("host", "origin", "code"),
        [
            (b"rebound.example:8800", None, "host_not_allowed"),
            (b"rebound.example:8800", b"http://rebound.example:8800", "host_not_allowed"),
            (b"127.0.0.1.nip.example", None, "host_not_allowed"),
            (b"localhost.example", None, "host_not_allowed"),
            (b"me@rebound.example", None, "host_not_allowed"),
            (b"evil.models.example.com", None, "host_not_allowed"),
            (b"127.0.0.1:8800", b"https://evil.example", "origin_not_allowed"),
            (b"127.0.0.1:8800", b"http://8.8.8.8", "origin_not_allowed"),
            (b"127.0.0.1:8800", b"https://localhost.example", "origin_not_allowed"),
            (b"127.0.0.1:8800", b"https://models.example.com.evil.example", "origin_not_allowed"),
            (b"127.0.0.1:8800", b"null", "origin_not_allowed"),
            (b"127.0.0.1:8800", b"", "origin_not_allowed"),
            (b"127.0.0.1:8800", b"http://[", "origin_not_allowed"),
            (b"127.0.0.1:8800", b"http://\xff.example", "origin_not_allowed"),
        ],
    )
    def test_what_is_not(self, host: bytes, origin: bytes | None, code: str) -> None:
        headers = {b"host": host} if origin is None else {b"host": host, b"origin": origin}
        ring = self.guarded()
        for more in ({}, {b"authorization": b"Bearer any"}):
            with pytest.raises(Forbidden) as caught:
                ring.find(headers | more)
            assert caught.value.code == code
            for option in ("--public-url", "--require-keys", "--allow-anonymous"):
                assert option in caught.value.message
        assert ring.find_or_nobody(headers) is NOBODY
        assert ring.find(headers | {b"x-api-key": SECRET.encode()}) is ANN

    def test_it_remembers_a_bounded_number(self) -> None:
        pages = Pages()
        for number in range(5000):
            pages.check({b"host": b"127.0.0.1:%d" % number})
        assert len(pages.good) <= 1024

    @pytest.mark.parametrize(
        ("options", "guarded", "admin"),
        [
            ({}, True, True),
            ({"allow_anonymous": True}, False, True),
            ({"host": "0.0.0.0", "allow_anonymous": True}, False, False),
        ],
    )
    def test_who_anybody_is(self, options: dict[str, Any], guarded: bool, admin: bool) -> None:
        ring = new_keyring(Settings(**options), None)
        assert ring.anybody is (ANYBODY if admin else PASSER_BY)
        assert ANYBODY.scopes - PASSER_BY.scopes == {ADMIN}
        assert ring.authenticate("me", "secret") is ring.anybody
        headers = {b"host": b"rebound.example"}
        assert ring.find_or_nobody(headers) is (NOBODY if guarded else ring.anybody)


class TestEnds:
    def test_revoked_while_it_is_known(self) -> None:
        ring = keyring()
        assert find(ring, x_api_key=b"paddock_new") is ANN
        gone = dataclasses.replace(ANN, revoked_at=time.time())
        ring.follow(ChangedKeys([(gone, digest(SECRET), "")], []))
        assert refused(ring, x_api_key=b"paddock_new").code == "api_key_revoked"

    def test_expires_while_it_is_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ring = keyring(dataclasses.replace(ANN, expires_at=time.time() + 60))
        assert find(ring, x_api_key=b"paddock_new").id == "key-ann"
        later = time.time() + 61
        monkeypatch.setattr("time.time", lambda: later)
        assert refused(ring, x_api_key=b"paddock_new").code == "api_key_expired"

    def test_the_secret_before_works_for_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ring = keyring(dataclasses.replace(ANN, previous_until=time.time() + 60), old=OLD)
        assert find(ring, x_api_key=b"paddock_old").id == find(ring, x_api_key=b"paddock_new").id == "key-ann"
        later = time.time() + 61
        monkeypatch.setattr("time.time", lambda: later)
        assert "rotated" in refused(ring, x_api_key=b"paddock_old").message
        assert find(ring, x_api_key=b"paddock_new").id == "key-ann"

    def test_a_secret_that_is_gone_is_forgotten(self) -> None:
        ring = keyring(old=OLD)
        ring.follow(ChangedKeys([(ANN, digest("paddock_third"), "")], []))
        for secret in (b"paddock_new", b"paddock_old"):
            assert "mistyped" in refused(ring, x_api_key=secret).message
        assert find(ring, x_api_key=b"paddock_third") is ANN

    def test_credentials(self) -> None:
        ring = keyring()
        assert ring.authenticate("key-ann", SECRET) is ANN
        for identity, secret in (("key-ann", "paddock_nwe"), ("key-bob", SECRET), ("", SECRET), ("x", "y")):
            with pytest.raises(Unauthorized) as caught:
                ring.authenticate(identity, secret)
            assert caught.value.code == "invalid_client"


class TestChanges:
    def test_nothing_changed(self) -> None:
        ring = keyring()
        ring.follow(None)
        assert find(ring, x_api_key=b"paddock_new") is ANN
        assert ring.by_id("key-ann") is ANN
        assert ring.by_id("key-bob") is None

    def test_what_a_key_is_good_for(self) -> None:
        ring = keyring()
        find(ring, x_api_key=b"paddock_new")
        less = dataclasses.replace(ANN, scopes=frozenset({"inference"}))
        ring.follow(ChangedKeys([(less, digest(SECRET), "")], []))
        assert find(ring, x_api_key=b"paddock_new").scopes == {"inference"}

    def test_limits_of_projects(self) -> None:
        ring = keyring()
        limits = Limits(requests_per_minute=5)
        ring.follow(ChangedKeys([], [Project("shop", limits, 0.0)]))
        assert ring.limits_of("shop") == limits
        assert not ring.limits_of("other")

    def test_it_remembers_a_bounded_number_of_headers(self) -> None:
        ring = keyring(required=False)
        for number in range(10_000):
            find(ring, authorization=b"Bearer %d" % number)
        known: dict[Any, Any] = ring._known
        assert len(known) <= 4096


@pytest.mark.parametrize(
    ("patterns", "names", "may"),
    [
        ((), ("a",), True),
        (("a",), ("a",), True),
        (("a",), ("A", "b"), False),
        (("paddock/*",), ("mine", "paddock/foal"), True),
        (("paddock/*",), ("paddock",), False),
        (("*",), ("anything/at/all",), True),
        (("*",), ("",), False),
        (("a", "b-?"), ("b-2",), True),
    ],
)
def test_which_models_a_key_may_ask(patterns: tuple[str, ...], names: tuple[str, ...], may: bool) -> None:
    assert dataclasses.replace(ANN, models=patterns).may_ask(*names) is may
