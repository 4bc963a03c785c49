"""Small programs for tests: a script in an engine's or a job's place."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from paddock.engines.engine import Health, Launch, Progress, Report, Site
from paddock.errors import StartupError


@dataclass(frozen=True)
class PreparedScript:
    script: str
    health: Health | None
    title: str = "a script"
    facts: dict[str, Any] = field(default_factory=lambda: {"answer": 42})

    def launch(self, host: str, port: int) -> Launch:
        return Launch([sys.executable, "-u", "-c", self.script, host, str(port)], {"SCRIPT_SECRET": "hush"})

    def explain(self, lines: Sequence[str]) -> str:
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Script:
    """Runs Python code. With `health` it is waited for until it answers like an engine.

    Attributes:
        preparing: seconds that the preparation takes, with a report every hundredth.
        refusal: why it cannot be prepared.
        error: what its preparation raises that nobody foresaw.
    """

    script: str
    health: Health | None = None
    preparing: float = 0.0
    refusal: str = ""
    error: str = ""
    name: str = "script"

    def prepare(self, site: Site, report: Report) -> PreparedScript:
        if self.refusal:
            raise StartupError(self.refusal)
        if self.error:
            raise ZeroDivisionError(self.error)
        steps = int(self.preparing * 100)
        try:
            for step in range(steps):
                report(Progress("fetching", step, steps))
                time.sleep(0.01)
        except StartupError:
            (site.data_dir / "given-up").touch()
            raise
        return PreparedScript(self.script, self.health)
