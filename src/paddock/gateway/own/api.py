"""Paddock's own API at `/api/v1`: what the command line and the dashboard are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from paddock.gateway.app import Mount, Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.own import (
    deployments,
    events,
    hardware,
    jobs,
    keys,
    logs,
    models,
    projects,
    replicas,
    usage,
    webhooks,
)
from paddock.gateway.own.routes import error_body
from paddock.services.platform import Platform


def mount(platform: Platform, ending: Callable[[], bool]) -> Mount:
    """
    Args:
        ending: whether the server drains, at which streams end.
    """
    routes = [
        *deployments.routes(platform),
        *logs.routes(platform, ending),
        *replicas.routes(platform),
        *events.routes(platform, ending),
        *jobs.routes(platform),
        *hardware.routes(platform),
        *models.routes(platform),
        *keys.routes(platform),
        *projects.routes(platform),
        *webhooks.routes(platform),
        *usage.routes(platform),
    ]
    return Mount(
        "/api/v1",
        "Paddock's own API",
        error_body,
        [_strict(route) for route in routes],
        "Deployments, replicas, logs, events, jobs, hardware, models, keys, usage and webhooks: what commands"
        " are made of.",
    )


def _strict(route: Route) -> Route:
    """A route that takes no query refuses one, rather than to leave its sender believing in it."""
    if route.query:
        return route

    async def endpoint(request: Request) -> Response | None:
        query_values(request, ())
        return await route.endpoint(request)

    return dataclasses.replace(route, endpoint=endpoint)
