"""Signatures as Standard Webhooks (https://www.standardwebhooks.com) has them, and OpenAI's client checks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from sqlalchemy.orm import Session

from paddock.errors import InvalidRequest
from paddock.store.sessions import WriteSession
from paddock.store.tables import SecretRow

PREFIX = "whsec_"
_BYTES = 32
_LEAST, _MOST = 24, 64
"""Bytes of a secret, as the standard bounds them."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def check_secret(secret: str, param: str) -> str:
    """
    Raises:
        InvalidRequest: it is none.
    """
    try:
        length = len(_key(secret)) if secret.startswith(PREFIX) else 0
    except (binascii.Error, ValueError):
        length = 0
    if not _LEAST <= length <= _MOST:
        raise InvalidRequest(f"{param} must be {PREFIX} and {_LEAST} to {_MOST} bytes in base64", param=param)
    return secret


def headers(secret: str, event_id: str, at: int, body: bytes) -> list[tuple[str, str]]:
    """What tells a receiver that these very bytes come from here, and when.

    Args:
        at: the time of this try, in seconds since 1970.
    """
    signed = b"%b.%d.%b" % (event_id.encode(), at, body)
    signature = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    return [
        ("webhook-id", event_id),
        ("webhook-timestamp", str(at)),
        ("webhook-signature", f"v1,{signature}"),
    ]


def project_secret(session: Session, project: str) -> str:
    """What a project's callbacks are signed with; empty if it has none yet."""
    row = session.get(SecretRow, _name(project))
    return row.value.decode() if row is not None else ""


def renew_project_secret(session: WriteSession, project: str) -> str:
    """A new one in its place: what is sent from now on is signed with it."""
    secret = new_secret()
    row = session.get(SecretRow, _name(project), with_for_update=True)
    if row is None:
        row = SecretRow(name=_name(project))
        session.add(row)
    row.value = secret.encode()
    return secret


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def _name(project: str) -> str:
    return f"webhooks/{project}"
