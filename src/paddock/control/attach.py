"""Servers that somebody else runs and that speak OpenAI HTTP: asked once what they serve, then routed to."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

import orjson

from paddock.errors import PaddockError, StartupError
from paddock.inference.connection import Body
from paddock.inference.routing import Deployment, Replica
from paddock.inference.upstream import Upstream
from paddock.settings import attach_key, attach_key_variable


async def attach(spec: str, timeout: float) -> Deployment:
    """The deployment for `NAME=http://host:port/v1`, or `NAME=URL#MODEL` if that server has several models.

    Raises:
        StartupError: the spec is malformed, nothing answers there, or the model is not to be told.
    """
    name, _, url = spec.partition("=")
    url, _, wanted = url.partition("#")
    parts = _parse(url)
    if not name or parts is None:
        raise StartupError(f"--attach {spec!r} must look like NAME=http://host:port/v1")
    upstream = Upstream(url.rstrip("/"), attach_key(name), timeout)
    try:
        served = await _served(upstream, name, url)
        engine_model = wanted or _choose(name, url, served)
    except StartupError:
        upstream.close()
        raise
    return Deployment(
        name,
        "attached",
        engine_model,
        embeds=True,
        owned_by=parts.hostname or "",
        replicas=[Replica(upstream)],
    )


def _parse(url: str) -> SplitResult | None:
    """The URL's parts; None if it is none that can be connected to."""
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        return None
    return parts if good else None


async def _served(upstream: Upstream, name: str, url: str) -> list[str]:
    sink = Body()
    try:
        await upstream.send(b"GET", upstream.prefix + b"/models", b"", sink)
    except PaddockError as error:
        raise StartupError(f"--attach {name}: {error.message}; is that server running?") from None
    if sink.status in (401, 403):
        raise StartupError(f"--attach {name}: {url} wants a key; put it into {attach_key_variable(name)}")
    if sink.status >= 500:
        raise StartupError(f"--attach {name}: {url}/models answers with status {sink.status}; is it ready?")
    if sink.status != 200:
        # Not every server lists its models; what it calls this one is then taken to be the given name.
        return []
    try:
        return [str(model["id"]) for model in orjson.loads(sink.data)["data"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise StartupError(
            f"--attach {name}: {url}/models is not OpenAI's; does the URL end in /v1?"
        ) from None


def _choose(name: str, url: str, served: list[str]) -> str:
    if not served or name in served:
        return name
    if len(served) == 1:
        return served[0]
    names = ", ".join(served[:10])
    raise StartupError(f"--attach {name}: {url} serves {names}; say which with {name}={url}#MODEL")
