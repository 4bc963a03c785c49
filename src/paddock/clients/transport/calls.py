"""What a client asks of the transport, and what the transport says when it went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from paddock.clients.transport.uploads import Upload

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        path: below the base URL, without a leading slash.
        parse: makes the result from the parsed JSON of the answer, or of each event of a stream, or from
            each piece of bytes of a download; a ValueError from it means that the server's answer is not
            understood.
        body: sent as JSON, pydantic models included; None sends no body.
        form: sent as an HTML form would be, instead of `body`.
        upload: sent instead of `body`, as a form with a file in it.
        params: the query string.
        headers: sent beside the transport's own; one of the same name takes that one's place.
        repeatable: sending it twice does no harm, so it may be sent again after a connection broke
            without an answer. Refused connections and statuses 429 and 503 are always tried again.
    """

    method: str
    path: str
    parse: Callable[[Any], T]
    body: Any = None
    form: Mapping[str, str] | None = None
    upload: Upload | None = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call did not succeed; each client turns it into its own error.

    Attributes:
        kind: `status`: the server answered with an error; `stream`: it sent one in the middle of a stream;
            `connection`: it could not be reached or hung up; `timeout`: it took too long; `unreadable`: it
            answered what this client does not understand; `request`: the request could not be built.
        message: for a person; names the URL where that helps.
        status: the HTTP status, for `stream` the one that its error stands for.
        body: the answer: parsed JSON, or text where it is none.
        request_id: the server's `x-request-id`.
        retry_after: seconds that the server asked to wait.
    """

    kind: Literal["status", "stream", "connection", "timeout", "unreadable", "request"]
    message: str
    url: str
    status: int | None = None
    body: Any = None
    request_id: str | None = None
    retry_after: float | None = None


def encode(body: Any) -> bytes:
    """`body` as JSON, as UTF-8.

    Raises:
        ValueError: JSON cannot express it; the message says what.
    """
    try:
        text = json.dumps(body, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the request cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()  # a numpy array of token ids
    raise TypeError(f"{type(value).__name__} is not JSON serializable")
