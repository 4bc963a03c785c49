"""Access tokens by client credentials, as RFC 6749 (4.4) has them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

import orjson
from pydantic import TypeAdapter

from paddock.errors import InvalidRequest
from paddock.gateway.keyring import TOKEN_SECONDS, Keyring
from paddock.gateway.validate import parse_unkept
from paddock.schemas.cortecs import TokenRequest, TokenResponse

TOKEN_REQUEST: TypeAdapter[TokenRequest] = TypeAdapter(TokenRequest)


def issue(keyring: Keyring, headers: Mapping[bytes, bytes], body: bytes) -> TokenResponse:
    """A token for the credentials in a JSON or form body, or in HTTP Basic.

    Where no key is needed, credentials of no key will do: no route asks for their token, which is random, and
    nobody remembers it.

    Raises:
        InvalidRequest: another grant type, or something is missing.
        Unauthorized: they are not a key's id and its secret, or the key does not work any more.
    """
    asked = parse_unkept(TOKEN_REQUEST, _as_json(headers, body))
    name, secret = _basic(headers.get(b"authorization", b""))
    given = {"client_id": asked.client_id or name, "client_secret": asked.client_secret or secret}
    for field, value in given.items():
        if not value:
            raise InvalidRequest(
                f"{field} is required and must not be empty, in the body or by HTTP Basic",
                param=field,
                code="missing_field",
            )
    key = keyring.authenticate(str(given["client_id"]), str(given["client_secret"]))
    token = keyring.token(key) if key.id else secrets.token_urlsafe(32)
    return TokenResponse(access_token=token, expires_in=TOKEN_SECONDS)


def _as_json(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind == b"application/x-www-form-urlencoded":
        return orjson.dumps(dict(parse_qsl(body.decode("utf-8", "replace"))))
    return body or b"{}"


def _basic(header: bytes) -> tuple[str, str]:
    """User name and password; empty if the header is of another scheme or none."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() != b"basic":
        return "", ""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except ValueError:
        raise InvalidRequest(
            "the authorization header must be Basic with base64 of client_id:client_secret",
            param="authorization",
        ) from None
    name, _, secret = text.partition(":")
    # RFC 6749, 2.3.1: each is encoded as in a form first.
    return unquote_plus(name), unquote_plus(secret)
