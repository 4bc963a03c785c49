"""Traces, if the operator wants them."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from paddock.errors import StartupError
from paddock.settings import Settings, otlp_traces_endpoint

if TYPE_CHECKING:
    from paddock.gateway.tracing import Tracer


def check(settings: Settings) -> None:
    """
    Raises:
        StartupError: traces are wanted, and what exports them is not installed.
    """
    if otlp_traces_endpoint(settings) is not None and not _installed():
        raise StartupError(
            "traces need OpenTelemetry: pip install 'paddock[otel]', or unset otlp_endpoint and"
            " OTEL_EXPORTER_OTLP_ENDPOINT"
        )


def new_tracer(settings: Settings) -> Tracer | None:
    """None if nobody wants traces.

    Raises:
        As `check`.
    """
    endpoint = otlp_traces_endpoint(settings)
    if endpoint is None:
        return None
    check(settings)
    # Only who wants traces has what this imports.
    from paddock.gateway.tracing import Tracer

    return Tracer(endpoint)


def _installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
