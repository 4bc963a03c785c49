"""What was used and what it costs, in Paddock's own API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import orjson

from paddock.errors import InvalidRequest
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response, query_values
from paddock.services.keys import ADMIN, MANAGE, Key
from paddock.services.platform import Platform
from paddock.services.usage.query import FIELDS, FOREVER, Question, query
from paddock.services.usage.written import as_csv, as_json
from paddock.store.database import ReadSession

_FORMATS = ("json", "csv")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_QUERY = {
    "group_by": f"fields with commas between, of {', '.join(FIELDS)}; without it there is one sum",
    "start": "from when: seconds since 1970, or ISO 8601 such as 2026-11-01; by default the month's begin",
    "end": "until before when, likewise; by default until now",
    "project": "only what is of this project",
    "key": "only what came with the key of this id",
    "model": "only what this model answered",
    "format": "json, or csv, which `Accept: text/csv` asks for too",
}


def routes(platform: Platform) -> list[Route]:
    async def usage(request: Request) -> Response:
        values = query_values(request, _QUERY)
        question = seen_by(request.key, _read(values))
        wants_csv = _wants_csv(request, values)
        currency = platform.prices.currency

        def work(session: ReadSession) -> Response:
            # All of it in the thread: a hundred thousand groups would hold up the event loop.
            answer = query(session, question)
            if wants_csv:
                text = as_csv(answer, question.group_by, currency)
                return Response(text.encode(), content_type=b"text/csv; charset=utf-8")
            return Response(orjson.dumps(as_json(answer, question.group_by, currency)))

        await platform.ledger.flush()
        return await platform.ledger.read(work)

    return [Route("GET", "/usage", usage, "Requests, tokens and what they cost, by groups.", query=_QUERY)]


def seen_by(key: Key, asked: Question) -> Question:
    """What of it the key may see. Of what it may not, nothing is there."""
    if ADMIN in key.scopes:
        return asked
    wished = [(asked.project, key.project)]
    seen = replace(asked, project=key.project)
    if MANAGE not in key.scopes:
        wished.append((asked.key, key.id))
        seen = replace(seen, key=key.id)
    if any(name not in (None, own) for name, own in wished):
        return replace(seen, end=seen.start)
    return seen


def _read(values: Mapping[str, str]) -> Question:
    """
    Raises:
        InvalidRequest: a value is none; says what would be right.
    """
    start = _moment(values, "start", _month())
    end = _moment(values, "end", FOREVER)
    if start > end:
        raise InvalidRequest("start must not come after end", param="start")
    return Question(
        group_by=_fields(values.get("group_by", "")),
        start=start,
        end=end,
        project=values.get("project"),
        key=values.get("key"),
        model=values.get("model"),
    )


def _fields(text: str) -> tuple[str, ...]:
    fields = tuple(text.split(",")) if text else ()
    for field in fields:
        if field not in FIELDS:
            raise InvalidRequest(
                f"group_by must be fields of {', '.join(FIELDS)}, with commas between, not {field[:40]!r}",
                param="group_by",
            )
    if len(set(fields)) < len(fields):
        raise InvalidRequest("group_by has a field twice", param="group_by")
    return fields


def _moment(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name)
    if text is None:
        return default
    moment = _seconds(text)
    if moment is None or not 0 <= moment <= FOREVER:
        raise InvalidRequest(
            f"{name} must be seconds since 1970, or a date or a time of UTC as ISO 8601 has them, such as"
            f" 2026-11-28 or 2026-11-28T14:30:00Z (a + in it is written %2B), not {text[:40]!r}",
            param=name,
        )
    return moment


def _seconds(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _month() -> float:
    """When the month of UTC began."""
    return datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def _wants_csv(request: Request, values: Mapping[str, str]) -> bool:
    wished = values.get("format")
    if wished is None:
        return b"text/csv" in request.headers.get(b"accept", b"")
    if wished not in _FORMATS:
        raise InvalidRequest(f"format must be {' or '.join(_FORMATS)}, not {wished[:40]!r}", param="format")
    return wished == "csv"
