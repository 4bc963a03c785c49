"""Rows for tests that need them without a wish behind them."""

from __future__ import annotations

from typing import Any

from paddock.services.deployments import LOCAL
from paddock.store.sessions import ChangeSession
from paddock.store.tables import DeploymentRow


def add_deployment(session: ChangeSession, name: str, **values: Any) -> DeploymentRow:
    made: dict[str, Any] = {
        "id": f"dep-{name}",
        "project": LOCAL,
        "name": name,
        "model": "paddock/foal",
        "source": "paddock/foal",
        "engine": "llama.cpp",
        "hardware_type": "CPU_1",
        "context_length": 64,
        "min_workers": 1,
        "max_workers": 1,
        "per_worker": 1,
        "idle_timeout": 60.0,
        "options": {},
        "details": {},
        "origin": "api",
        "wanted": "serve",
        "generation": 1,
        "status": "pending",
        "created_at": 0.0,
        "updated_at": 0.0,
        "revision": session.revision,
    }
    row = DeploymentRow(**{**made, **values})
    session.add(row)
    session.flush()
    return row
