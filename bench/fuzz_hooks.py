"""What `bench.fuzz` has Schemathesis look for, and what it may not send anybody to."""

from __future__ import annotations

from typing import Any

import schemathesis

READY = ("/readyz", "/llm-engine/readyz")
STOPPED = "has no engine ready"
NOWHERE = "https://nowhere.invalid/"


@schemathesis.check
def no_fault(ctx: Any, response: Any, case: Any) -> None:
    """Fails where the server says that it is at fault."""
    if response.status_code < 500:
        return
    if response.status_code == 503 and (case.path in READY or STOPPED in response.text):
        return
    raise AssertionError(f"{response.status_code}: {response.text[:500]}")


@schemathesis.hook
def map_body(ctx: Any, body: Any) -> Any:
    """Addresses that are made up may be somebody's."""
    if isinstance(body, dict):
        return {name: map_body(ctx, value) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(ctx, value) for value in body]
    if isinstance(body, str) and body.startswith(("http:", "https:")):
        return NOWHERE
    return body
