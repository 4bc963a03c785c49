"""Sends calls, waits and tries again, and reads answers and streams."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx2

from paddock import __version__
from paddock.clients.transport import failures
from paddock.clients.transport.calls import Call, Failure, encode
from paddock.clients.transport.connecting import origin, timeouts
from paddock.clients.transport.events import DONE, EventParser
from paddock.clients.transport.loop_clients import client_for
from paddock.clients.transport.retries import RETRIED_STATUSES, Retry

T = TypeVar("T")
_USER_AGENT = f"paddock/{__version__} python/{platform.python_version()}"
_log = logging.getLogger("paddock.clients")


class AsyncTransport:
    """Sends calls to one server. Cheap to make: connections are shared by all transports to a server.

    Args:
        base_url: what the paths of calls are below.
        error: makes the exception to raise from a failure.
        api_key: sent as a bearer token; None sends none.
        headers: sent with every call.
        timeout: seconds without a byte from the server after which a request fails, and the time within
            which it is sent again; None waits for ever.
    """

    def __init__(
        self,
        base_url: str,
        error: Callable[[Failure], Exception],
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 600.0,
        retry: Retry | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._error = error
        self._timeout = timeout
        self._retry = retry or Retry()
        self._headers = {"user-agent": _USER_AGENT, "accept": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._headers.update(_lower(headers))

    async def request(self, call: Call[T]) -> T:
        """The parsed answer."""
        url, response = await self._send(call)
        try:
            return call.parse(json.loads(response.content))
        except ValueError as error:
            body = failures.parse_or_text(response.content)
            raise self._error(failures.unreadable(response, url, str(error), body)) from error

    async def stream(self, call: Call[T]) -> AsyncGenerator[T]:
        """Each event of the answer, parsed, as it comes.

        Closing the generator closes the connection, which ends the generation on the server.
        """
        url, response = await self._send(call, streamed="text/event-stream")
        try:
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                await response.aread()
                why = f"not a stream of events but {kind or 'of no type'}"
                body = failures.parse_or_text(response.content)
                raise self._error(failures.unreadable(response, url, why, body))
            parser = EventParser()
            async for chunk in response.aiter_bytes():
                for event in parser.feed(chunk):
                    # Read on after the end mark: its connection is usable again only after the end itself.
                    if event != DONE:
                        yield self._parse_event(call, event, response, url)
            for event in parser.finish():
                if event != DONE:
                    yield self._parse_event(call, event, response, url)
        except httpx2.RequestError as error:
            raise self._error(failures.from_exception(error, url, self._timeout)) from error
        finally:
            await response.aclose()

    async def download(self, call: Call[T]) -> AsyncGenerator[T]:
        """Each piece of the answer's bytes, parsed, as it comes; of any size, and any media type."""
        url, response = await self._send(call, streamed="*/*")
        try:
            async for piece in response.aiter_bytes():
                try:
                    value = call.parse(piece)
                except ValueError as error:
                    raise self._error(failures.unreadable(response, url, str(error))) from error
                yield value
        except httpx2.RequestError as error:
            raise self._error(failures.from_exception(error, url, self._timeout)) from error
        finally:
            await response.aclose()

    async def _send(self, call: Call[T], *, streamed: str | None = None) -> tuple[str, httpx2.Response]:
        """The response to the first try that succeeds.

        Args:
            streamed: the media type of a body that is left to be read; of any other all is read.
        """
        url = f"{self._base_url}/{call.path}"
        end = float("inf") if self._timeout is None else time.monotonic() + self._timeout
        tried = 0
        while True:
            tried += 1
            client, request = await self._build(call, url, streamed)
            began = time.monotonic()
            cause: Exception | None = None
            try:
                response = await client.send(request, stream=streamed is not None)
                if response.is_success:
                    _log.debug("%s %s: %d, %.0f ms", *_log_values(call, url, response, began))
                    return url, response
                failure = await self._refusal(response, url)
                again = response.status_code in RETRIED_STATUSES
            except httpx2.RequestError as error:
                cause = error
                failure = failures.from_exception(error, url, self._timeout)
                again = failures.may_repeat(error, call.repeatable)
            again = again and (call.upload is None or call.upload.repeatable)
            wait = self._retry.wait(tried, failure.retry_after, end - time.monotonic()) if again else None
            if wait is None:
                raise self._error(failure) from cause
            _log.info("%s; trying again in %.1f s (try %d)", failure.message, wait, tried + 1)
            await asyncio.sleep(wait)

    async def _build(
        self, call: Call[T], url: str, accept: str | None
    ) -> tuple[httpx2.AsyncClient, httpx2.Request]:
        headers = dict(self._headers)
        if accept is not None:
            headers["accept"] = accept
        headers.update(_lower(call.headers))
        try:
            content: Any = None
            if call.upload is not None:
                content = aiter(call.upload)
                headers["content-type"] = call.upload.content_type
                if call.upload.length is not None:
                    headers["content-length"] = str(call.upload.length)
            elif call.form is not None:
                content = urlencode(call.form).encode()
                headers["content-type"] = "application/x-www-form-urlencoded"
            elif call.body is not None:
                content = encode(call.body)
                headers["content-type"] = "application/json"
            client = await client_for(origin(self._base_url))
            request = client.build_request(
                call.method,
                url,
                params=call.params,
                content=content,
                headers=headers,
                timeout=timeouts(self._timeout),
            )
        except (ValueError, httpx2.InvalidURL) as error:
            # A key with characters that no header may have is a ValueError too (UnicodeEncodeError).
            raise self._error(Failure("request", str(error), url)) from error
        return client, request

    async def _refusal(self, response: httpx2.Response, url: str) -> Failure:
        try:
            await response.aread()
        finally:
            await response.aclose()
        return failures.from_response(response, url)

    def _parse_event(self, call: Call[T], event: bytes, response: httpx2.Response, url: str) -> T:
        value = failures.parse_or_text(event)
        if isinstance(value, dict) and value.get("error"):
            raise self._error(failures.from_event(value, response, url))
        try:
            return call.parse(value)
        except ValueError as error:
            raise self._error(failures.unreadable(response, url, str(error), value)) from error


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    # The case of a header's name means nothing, but in a dictionary it would make two of one.
    return {name.lower(): value for name, value in (headers or {}).items()}


def _log_values(call: Call[Any], url: str, response: httpx2.Response, began: float) -> tuple[Any, ...]:
    return call.method, url, response.status_code, (time.monotonic() - began) * 1000
