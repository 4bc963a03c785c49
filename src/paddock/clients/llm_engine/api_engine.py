"""Where calls go, what they carry, and how arguments become requests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import pydantic

from paddock.clients import llm_engine, transport
from paddock.clients.llm_engine.errors import ValidationError, from_failure
from paddock.settings import llm_engine_defaults

if TYPE_CHECKING:
    from paddock.clients.transport import AsyncTransport, Transport

Request = TypeVar("Request", bound=pydantic.BaseModel)


def set_base_path(path: str | None) -> None:
    """Send calls to the server at `path`; None returns to what the environment says."""
    llm_engine.base_url = path


def get_base_path() -> str:
    """Where calls go at this moment."""
    return llm_engine_defaults()[1] if llm_engine.base_url is None else llm_engine.base_url


def set_api_key(key: str | None) -> None:
    """Send `key` with each call; None returns to what the environment says."""
    llm_engine.api_key = key


def get_api_key() -> str:
    """The key that calls carry at this moment."""
    return llm_engine_defaults()[0] if llm_engine.api_key is None else llm_engine.api_key


def connect(timeout: float | None) -> Transport:
    """A transport to the server that is set at this moment.

    Raises:
        ValidationError: the base path is no URL, or `timeout` no number of seconds.
    """
    base_url = _base_url(timeout)
    return transport.Transport(base_url, from_failure, headers=_credentials(), timeout=timeout)


def connect_async(timeout: float | None) -> AsyncTransport:
    """As `connect`, for a running event loop."""
    base_url = _base_url(timeout)
    return transport.AsyncTransport(base_url, from_failure, headers=_credentials(), timeout=timeout)


def fields(kind: type[Request], given: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body of a request: what was given, without what is None.

    Raises:
        ValidationError: a field is missing, has a wrong type, or is out of its range.
    """
    try:
        return kind.model_validate(dict(given)).model_dump(mode="json", exclude_unset=True)
    except pydantic.ValidationError as error:
        raise ValidationError(_explain(error)) from None
    except ValueError as error:
        # pydantic keeps what it does not know as it is, and then finds no JSON for it.
        raise ValidationError(f"the request cannot be written as JSON: {error}") from error


def segment(name: str, value: Any) -> str:
    """`value` as one part of a path.

    Raises:
        ValidationError: it is no text, or as a path would mean something else.
    """
    if not isinstance(value, str) or value in ("", ".", ".."):
        raise ValidationError(f"{name} must be an ID that the server gave, not {value!r}")
    return quote(value, safe="")


def _explain(error: pydantic.ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False)
    # A field that is there and wrong says more than one that is missing.
    detail = next((one for one in details if one["type"] != "missing"), details[0])
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{name} must be given"
    said = detail["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
    shown = repr(detail["input"])
    return f"{name} {said}, not {shown if len(shown) <= 60 else f'{shown[:57]}...'}"


def _base_url(timeout: float | None) -> str:
    base_url = get_base_path()
    if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
        raise ValidationError(
            f"the base path must be a URL such as http://127.0.0.1:8800/llm-engine/, not {base_url!r}"
        )
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0
    ):
        raise ValidationError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    return base_url


def _credentials() -> dict[str, str]:
    key = get_api_key()
    # A key that is no text at all fails at the header that carries it as it is, with a better message.
    basic = b64encode(f"{key}:".encode("utf-8", "replace")).decode()
    return {"authorization": f"Basic {basic}", "x-api-key": key}
