"""Takes each request to its route, and every answer and error back in the route's dialect."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from paddock.errors import (
    Forbidden,
    MethodNotAllowed,
    NotFound,
    PaddockError,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from paddock.gateway.access_log import AccessLog
from paddock.gateway.accounts import Accounts
from paddock.gateway.head import new_headers
from paddock.gateway.http import BadHttp, Request, Response, decoded_path
from paddock.gateway.keyring import Keyring
from paddock.gateway.metrics import Metrics
from paddock.gateway.prompt_log import PromptLog
from paddock.inference.log_lines import outline, request_id
from paddock.services.keys import ADMIN, MANAGE, Key

if TYPE_CHECKING:
    from paddock.gateway.tracing import Tracer

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response | None]]
"""Answers with a response, or with None when it has streamed one itself."""

ErrorBody = Callable[[PaddockError], bytes]
PUBLIC, ANY_KEY = "public", "any key"
CLIENT_GONE = 499
"""nginx's number for a caller that closed the connection before the answer; only logs and metrics see it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    `{name}` in a pattern takes any text, slashes included. Where several patterns match a path, the one with
    more text of its own is meant: `/deployments/{name}/logs` before `/deployments/{name}`.

    Attributes:
        scope: what a key must be good for: `inference`, `manage` or `admin`; `ANY_KEY`, or `PUBLIC` for what
            needs none. By default any key may look, and one for `manage` may change something.
        always: answered while the server is starting or draining too.
        receives: the endpoint is called when the head has come (a small body is waited for), and reads the
            body by `Request.pieces`, which sets its limit; `max_body` does not hold.
        logged: whether the access log shows it; probes would drown the rest.
        body: the schema of the request body, for the documentation.
        example: a request body that works, for the documentation.
        query: the query parameters with their meanings, for the documentation.
        answer: the schema of what it answers, for the documentation.
    """

    method: str
    pattern: str
    endpoint: Endpoint
    summary: str
    scope: str = ""
    always: bool = False
    receives: bool = False
    logged: bool = True
    body: Any = None
    example: dict[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    answer: Any = None

    @property
    def needs(self) -> str:
        return self.scope or (ANY_KEY if self.method == "GET" else MANAGE)


@dataclass(frozen=True, slots=True)
class Mount:
    """The routes of one dialect below one prefix, and how it renders errors.

    Attributes:
        summary: what it is for, for the documentation.
    """

    prefix: str
    title: str
    error_body: ErrorBody
    routes: Sequence[Route] = field(default_factory=tuple)
    summary: str = ""


def require_scope(key: Key, scope: str) -> None:
    """
    Raises:
        Forbidden: the key is not good for that.
    """
    if scope not in key.scopes and ADMIN not in key.scopes:
        if not key.id:
            raise Forbidden(f"this is not for who comes without a key: it needs one with the scope {scope!r}")
        raise Forbidden(
            f"the API key {key.name!r} is not for this: it needs the scope {scope!r} and has"
            f" {', '.join(sorted(key.scopes))}"
        )


class _Pattern(NamedTuple):
    """
    Attributes:
        start: what stands before the first name.
        length: of the text that is no name.
    """

    start: str
    regex: re.Pattern[str]
    length: int
    methods: dict[str, tuple[Mount, Route]]


class App:
    """The gateway's handler.

    Args:
        tracer: makes a trace of each request; None if nobody wants them.
        prompts: logs what models are asked and answer; None, as it should be, if the operator did not ask.

    Attributes:
        refusal: while set, routes that are not `always` answer with it (starting, draining).
        in_flight: requests being answered.
    """

    def __init__(
        self,
        mounts: Sequence[Mount],
        metrics: Metrics,
        access_log: AccessLog | None,
        keyring: Keyring | None = None,
        accounts: Accounts | None = None,
        tracer: Tracer | None = None,
        prompts: PromptLog | None = None,
    ) -> None:
        self.mounts = sorted(mounts, key=lambda mount: len(mount.prefix), reverse=True)
        self.metrics = metrics
        self.access_log = access_log
        self.keyring = keyring or Keyring()
        self.accounts = accounts
        self.tracer = tracer
        self.prompts = prompts
        self.refusal: Unavailable | None = None
        self.in_flight = 0
        self._exact: dict[str, dict[str, tuple[Mount, Route]]] = {}
        self._patterns: list[_Pattern] = []
        # With the seconds that they took.
        self._over: list[tuple[Request, float]] = []
        for mount in self.mounts:
            for route in mount.routes:
                self._add(mount, route)
        self._patterns.sort(key=lambda pattern: pattern.length, reverse=True)

    async def __call__(self, request: Request) -> None:
        record = request.record
        request_id.set(request.id)
        if self.tracer is not None:
            self.tracer.begin()
        if self.prompts is not None:
            self.prompts.listen(request)
        self.in_flight += 1
        response: Response | None = None
        mount = None
        try:
            mount, route = self._find(request)
            record.route = mount.prefix + route.pattern
            record.logged = route.logged
            if self.refusal is not None and not route.always:
                raise self.refusal
            self._admit(request, route)
            request.accounts = self.accounts
            response = await route.endpoint(request)
        except asyncio.CancelledError:
            record.status = CLIENT_GONE
            record.outcome = record.outcome or "aborted"
            raise
        except PaddockError as error:
            record.outcome = error.code
            response = self._error(mount or self._mount(request.path), error)
        except Exception as error:
            record.outcome = PaddockError.code
            words = error if self.prompts is not None else None
            log.error("request %s failed: %s", request.id, outline(error), exc_info=words)
            bug = PaddockError(f"an error inside Paddock; its log tells more under request id {request.id}")
            response = self._error(mount or self._mount(request.path), bug)
        finally:
            self.in_flight -= 1
            if response is not None:
                record.status = record.status or response.status
                self._send(request, response)
            self._account(request)

    def refuse(self, status: int, message: str) -> bytes:
        """The body of an error of the HTTP layer, for which no route is known yet."""
        self.metrics.refused(status)
        return self.mounts[-1].error_body(BadHttp(status, message))

    def receives(self, method: bytes, target: bytes) -> bool:
        """Whether the route of a request reads the body as it comes."""
        methods, _ = self._methods(decoded_path(target.partition(b"?")[0]))
        found = methods.get(method.decode("ascii", "replace"))
        return found is not None and found[1].receives

    def account(self) -> None:
        """Counts the requests that are over: all at once that ended in one turn of the event loop, for what
        is done again and again takes half the time that it takes between other things.
        """
        over, self._over = self._over, []
        if self.accounts is not None:
            self.accounts.settle(over)
        for request, seconds in over:
            self.metrics.observe(request.record, seconds)
        if self.access_log is not None:
            for request, seconds in over:
                if request.record.logged:
                    self.access_log.write(request, seconds)

    def _add(self, mount: Mount, route: Route) -> None:
        path = mount.prefix + route.pattern
        if "{" not in path:
            self._exact.setdefault(path, {})[route.method] = (mount, route)
            return
        pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(path)))
        for known in self._patterns:
            if known.regex.pattern == pattern.pattern:
                known.methods[route.method] = (mount, route)
                return
        length = len(re.sub(r"{\w+}", "", path))
        self._patterns.append(
            _Pattern(path.partition("{")[0], pattern, length, {route.method: (mount, route)})
        )

    def _find(self, request: Request) -> tuple[Mount, Route]:
        methods = self._exact.get(request.path)
        if methods is None:
            methods, request.params = self._methods(request.path)
        if not methods:
            mount = self._mount(request.path)
            there = ", ".join(f"{route.method} {mount.prefix}{route.pattern}" for route in mount.routes)
            raise NotFound(
                f"there is no route {request.method} {request.path[:200]}; there is: {there}; see GET /docs",
                code="unknown_route",
            )
        found_route = methods.get("GET" if request.method == "HEAD" else request.method)
        if found_route is None:
            allowed = ", ".join(sorted(methods))
            raise MethodNotAllowed(f"{request.path} does not take {request.method}; it takes {allowed}")
        return found_route

    def _methods(self, path: str) -> tuple[dict[str, tuple[Mount, Route]], dict[str, str]]:
        """What a path takes, by method, and what its pattern captured; nothing if it leads nowhere."""
        methods = self._exact.get(path)
        if methods is None:
            path = path.rstrip("/")
            methods = self._exact.get(path)
        if methods is not None:
            return methods, {}
        if "\0" in path:
            # No id or name has one, and PostgreSQL cannot even be asked for it.
            return {}, {}
        for pattern in self._patterns:
            # Most patterns are told apart by their beginnings, which cost a tenth of a match.
            match = path.startswith(pattern.start) and pattern.regex.fullmatch(path)
            if match:
                return pattern.methods, match.groupdict()
        return {}, {}

    def _admit(self, request: Request, route: Route) -> None:
        """Finds out whom the request comes from.

        Raises:
            Unauthorized: its key does not work, or it has none and needs one.
            Forbidden: its key is not good for this, or it has none and may come from a web page.
        """
        scope = route.needs
        if scope is PUBLIC:
            request.key = self.keyring.find_or_nobody(request.headers)
            return
        request.key = self.keyring.find(request.headers)
        if scope is not ANY_KEY:
            require_scope(request.key, scope)

    def _mount(self, path: str) -> Mount:
        return next((mount for mount in self.mounts if path.startswith(mount.prefix)), self.mounts[-1])

    def _error(self, mount: Mount, error: PaddockError) -> Response:
        headers = b""
        if error.retry_after is not None:
            headers = new_headers(("retry-after", max(1, round(error.retry_after))))
        if isinstance(error, Unauthorized):
            headers += b"www-authenticate: Bearer\r\n"
        if isinstance(error, RateLimited):
            headers += error.headers
        if isinstance(error, MethodNotAllowed):
            headers += new_headers(("allow", error.message.rsplit("takes ", 1)[-1]))
        return Response(mount.error_body(error), error.status, headers=headers)

    def _send(self, request: Request, response: Response) -> None:
        if request.connection.started_response:
            # Too late for another answer; an end without the last chunk tells the caller that it is cut off.
            request.connection.close()
            return
        request.connection.respond(
            response.status,
            b"content-type: %b\r\n%b%b" % (response.content_type, request.answer_headers, response.headers),
            response.body,
        )

    def _account(self, request: Request) -> None:
        seconds = time.perf_counter() - request.started
        if not self._over:
            asyncio.get_running_loop().call_soon(self.account)
        self._over.append((request, seconds))
        if self.tracer is None and self.prompts is None:
            return
        # These look at what only the request's own task knows, and what it cost belongs to it.
        self.account()
        if self.tracer is not None:
            self.tracer.finish(request, seconds)
        if self.prompts is not None:
            self.prompts.write(request)
