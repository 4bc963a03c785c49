"""Signatures that every process of this store can make and check: of addresses that work without a key, and
of tokens that stand for one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from sqlalchemy.orm import Session

from paddock.services.platform import Platform
from paddock.store.sessions import ChangeSession
from paddock.store.tables import SecretRow

_NAME = "addresses"
_BYTES = 32


class Signer:
    """Its secret is read once, and made if there is none yet."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._secret = b""

    async def ready(self) -> None:
        """Must have been waited for once before anything is signed or checked.

        Raises:
            StoreFailed: the secret cannot be read.
        """
        if not self._secret:
            store = self._platform.store
            self._secret = await store.read(_read) or await store.change(_make)

    def sign(self, text: str, expires_at: int) -> str:
        """What `check` knows again until then, in seconds since 1970."""
        return _signature(self._secret, text, expires_at)

    def check(self, text: str, expires_at: int, signature: str) -> bool:
        """Whether `sign` made it, of these very words, and its time is not over."""
        made = _signature(self._secret, text, expires_at)
        return hmac.compare_digest(made.encode(), signature.encode()) and time.time() < expires_at


def _read(session: Session) -> bytes:
    row = session.get(SecretRow, _NAME)
    return row.value if row is not None else b""


def _make(session: ChangeSession) -> bytes:
    """Changes come one after the other: of two processes one makes it, and the other finds it."""
    if found := _read(session):
        return found
    value = secrets.token_bytes(_BYTES)
    session.add(SecretRow(name=_NAME, value=value))
    return value


def _signature(secret: bytes, text: str, expires_at: int) -> str:
    if not secret:
        raise AssertionError("nothing is signed before its secret is ready")
    return hmac.new(secret, f"{expires_at} {text}".encode(), hashlib.sha256).hexdigest()
