"""The keys as a gateway process knows them, and whom a request comes from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy.orm import Session

from paddock.errors import Forbidden, Unauthorized
from paddock.gateway.pages import Pages
from paddock.schemas.limits import Limits
from paddock.services import keys, projects
from paddock.services.keys import ANYBODY, SECRET_PREFIX, Key
from paddock.services.projects import Project
from paddock.services.signing import Signer

TOKEN_SECONDS = 3600
_TOKEN_PREFIX = "paddock_token."
_REMEMBERED = 4096
"""Headers whose key is known without reading them again; a team has fewer."""
_LONGEST = 512
"""Of a secret or token, in bytes; what is longer is neither."""
_NO_LIMITS = Limits()

NOBODY = Key("", "", scopes=frozenset())
"""Who comes without a key where one is needed, to what needs none: no project is theirs."""


class ChangedKeys(NamedTuple):
    """
    Attributes:
        keys: with the digests of each one's secret and of the one before.
    """

    keys: list[tuple[Key, str, str]]
    projects: list[Project]


def changed_keys(session: Session, revision: int) -> ChangedKeys:
    """What changed after that revision."""
    return ChangedKeys(keys.changed_since(session, revision), projects.changed_since(session, revision))


class Keyring:
    """
    Args:
        required: whether nobody may ask without a key.
        signer: of tokens that stand for a key; it must be ready before there are keys.
        anybody: who comes without a key where none is needed.
        pages: keeps off who comes so from a web page; None lets everybody come.

    Attributes:
        on_change: called after each change.
    """

    def __init__(
        self,
        required: bool = False,
        signer: Signer | None = None,
        anybody: Key = ANYBODY,
        pages: Pages | None = None,
    ) -> None:
        self.required = required
        self.anybody = anybody
        self._signer = signer
        self._pages = pages
        self.on_change: list[Callable[[], None]] = []
        self._by_id: dict[str, Key] = {}
        self._by_digest: dict[str, Key] = {}
        self._digests: dict[str, tuple[str, str]] = {}
        self._limits: dict[str, Limits] = {}
        # By what was sent: the key, and until when that is known to be good.
        self._known: dict[tuple[bytes | None, bytes | None], tuple[Key, float]] = {}

    async def ready(self) -> None:
        """Must have been waited for once before tokens are made or read.

        Raises:
            StoreFailed: the signer's secret cannot be read.
        """
        if self._signer is not None:
            await self._signer.ready()

    def follow(self, changed: ChangedKeys | None) -> None:
        """The keys are so now."""
        if changed is None or not (changed.keys or changed.projects):
            return
        for project in changed.projects:
            self._limits[project.name] = project.limits
        for key, *digests in changed.keys:
            for old in self._digests.get(key.id, ()):
                self._by_digest.pop(old, None)
            self._digests[key.id] = (digests[0], digests[1])
            self._by_id[key.id] = key
            self._by_digest.update((one, key) for one in reversed(digests) if one)
        if changed.keys:
            self._known.clear()
        for call in self.on_change:
            call()

    def limits_of(self, project: str) -> Limits:
        return self._limits.get(project, _NO_LIMITS)

    def by_id(self, identity: str) -> Key | None:
        return self._by_id.get(identity)

    def find(self, headers: Mapping[bytes, bytes]) -> Key:
        """Whom a request with these headers comes from.

        Raises:
            Unauthorized: it has no key where one is needed, or one that does not work.
            Forbidden: it has none, and may come from a web page.
        """
        sent = headers.get(b"authorization"), headers.get(b"x-api-key")
        known = self._known.get(sent)
        key = known[0] if known is not None and time.time() < known[1] else self._find(sent)
        if self._pages is not None and not key.id:
            self._pages.check(headers)
        return key

    def find_or_nobody(self, headers: Mapping[bytes, bytes]) -> Key:
        """`find` for what needs no key: who has none that works is nobody."""
        try:
            return self.find(headers)
        except (Unauthorized, Forbidden):
            return NOBODY

    def authenticate(self, identity: str, secret: str) -> Key:
        """The key of client credentials, which are its id and its secret.

        Raises:
            Unauthorized: there is no such key, or the secret is not its own.
        """
        key = self._by_id.get(identity)
        if key is None and not self.required and not secret.startswith(SECRET_PREFIX):
            return self.anybody
        found = self._by_secret(secret.encode(), time.time())
        if key is None or found is None or found[0].id != identity:
            raise Unauthorized(
                "client_id must be the id of a key, as `paddock keys ls` shows it, and client_secret its"
                " secret",
                code="invalid_client",
            )
        return key

    def token(self, key: Key) -> str:
        """What stands for the key for `TOKEN_SECONDS`, as long as that works and keeps its secret."""
        assert self._signer is not None
        expires_at = int(time.time()) + TOKEN_SECONDS
        words = _words(key.id, self._digests[key.id][0])
        return f"{_TOKEN_PREFIX}{key.id}.{expires_at}.{self._signer.sign(words, expires_at)}"

    # ---- private

    def _find(self, sent: tuple[bytes | None, bytes | None]) -> Key:
        key, until = self._read(*sent)
        if len(sent[0] or b"") + len(sent[1] or b"") <= _LONGEST:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[sent] = key, until
        return key

    def _read(self, authorization: bytes | None, api_key: bytes | None) -> tuple[Key, float]:
        now = time.time()
        sent = [one for one in (_credential(authorization), (api_key or b"").strip()) if one]
        for credential in sent:
            found = self._by_token(credential, now) or self._by_secret(credential, now)
            if found is not None:
                return found
        if self.required or any(one.startswith(SECRET_PREFIX.encode()) for one in sent):
            raise _unknown(bool(sent))
        return self.anybody, math.inf

    def _by_secret(self, secret: bytes, now: float) -> tuple[Key, float] | None:
        if len(secret) > _LONGEST:
            return None
        digest = hashlib.sha256(secret).hexdigest()
        key = self._by_digest.get(digest)
        if key is None:
            return None
        until = _works_until(key, now)
        if digest == self._digests[key.id][1]:
            if now >= key.previous_until:
                raise Unauthorized("this secret was replaced by another one: the key was rotated")
            until = min(until, key.previous_until)
        return key, until

    def _by_token(self, token: bytes, now: float) -> tuple[Key, float] | None:
        if not token.startswith(_TOKEN_PREFIX.encode()) or len(token) > _LONGEST or self._signer is None:
            return None
        identity, _, rest = token.decode("latin-1").removeprefix(_TOKEN_PREFIX).partition(".")
        expires, _, signature = rest.partition(".")
        key = self._by_id.get(identity)
        if key is None or not (expires.isascii() and expires.isdecimal() and len(expires) < 16):
            return None
        current, previous = self._digests[identity]
        if self._signer.check(_words(identity, current), int(expires), signature):
            return key, min(_works_until(key, now), int(expires))
        keeps = previous and now < key.previous_until
        if keeps and self._signer.check(_words(identity, previous), int(expires), signature):
            return key, min(_works_until(key, now), int(expires), key.previous_until)
        return None


def _words(identity: str, digest: str) -> str:
    """What the token of a key is a signature of: it ends with the secret that it was asked for with."""
    return f"token {identity} {digest}"


def _works_until(key: Key, now: float) -> float:
    """
    Raises:
        Unauthorized: it does not work any more.
    """
    if key.revoked_at is not None:
        raise Unauthorized("this API key was revoked", code="api_key_revoked")
    if not key.works(now):
        raise Unauthorized("this API key has expired", code="api_key_expired")
    return math.inf if key.expires_at is None else key.expires_at


def _credential(authorization: bytes | None) -> bytes:
    """What is sent as a bearer token, or as the user's name of HTTP Basic, as LLM Engine's clients do."""
    scheme, _, value = (authorization or b"").strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            name, _, password = base64.b64decode(value.strip(), validate=True).partition(b":")
        except (ValueError, binascii.Error):
            return b""
        return name or password
    return b""


def _unknown(sent: bool) -> Unauthorized:
    if sent:
        return Unauthorized("the API key is not known here; it may be mistyped, or a token that is over")
    return Unauthorized(
        "this server asks for an API key: send one as `Authorization: Bearer KEY`, as HTTP Basic's user name"
        " or as `x-api-key`",
        code="missing_api_key",
    )
