"""Waiting until a deployment has started, with its five steps before a person's eyes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from paddock.cli.deployments_api import DeploymentsApi
from paddock.cli.output import printable, remark
from paddock.cli.tables import duration, size
from paddock.errors import NotFound, PaddockError

JSON = dict[str, Any]
STEPS = ("queued", "reserving hardware", "fetching weights", "loading", "ready")
FETCHING = 3
POLL_SECONDS = 0.1
LINE_SECONDS = 10.0
"""Time between two lines about the same step, where there is no terminal."""
State = Literal["done", "now", "later", "failed"]
Show = Callable[[list["Step"]], None]
_MARKS = {"done": "✓", "later": "·", "failed": "✗"}
_PASSING = ("pending", "starting")


@dataclass(frozen=True)
class Step:
    """
    Attributes:
        note: what the server says of it, while it is at it.
        seconds: how long it took, if it is over and was seen.
    """

    name: str
    state: State
    note: str = ""
    done: int = 0
    total: int = 0
    seconds: float | None = None


class Walk:
    """The way of a deployment through the steps, as it was seen."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def see(self, deployment: JSON, now: float) -> list[Step]:
        """The steps as they are. Who is on its way again, after a failure, walks anew."""
        replica = furthest(deployment)
        state: State = "now"
        if deployment["status"] in _PASSING:
            at = int(replica["step"]) if replica else 1
        elif deployment["status"] == "failed":
            at, state = max(self._since, default=1), "failed"
        else:
            at, state = len(STEPS), "done"
        self._since = {step: since for step, since in self._since.items() if step <= at}
        self._since.setdefault(at, now)
        fetched = (int(replica["done"]), int(replica["total"])) if replica and at == FETCHING else (0, 0)
        steps = []
        for number, name in enumerate(STEPS, 1):
            if number < at:
                steps.append(Step(name, "done", seconds=self._took(number)))
            elif number == at:
                steps.append(Step(name, state, _note(deployment, replica), *fetched))
            else:
                steps.append(Step(name, "later"))
        return steps

    def _took(self, step: int) -> float | None:
        until = min((since for later, since in self._since.items() if later > step), default=None)
        return until - self._since[step] if until is not None and step in self._since else None


def wait_until_started(api: DeploymentsApi, deployment: JSON, quiet: bool = False) -> JSON:
    """The deployment once it serves or sleeps, or has failed.

    Args:
        quiet: show nothing.

    Raises:
        PaddockError: it was stopped or deleted meanwhile, or the server cannot be asked.
        KeyboardInterrupt: whoever waited does not want to any more, and was told what goes on.
    """
    name = printable(str(deployment["name"]))
    try:
        with _display(quiet) as show:
            deployment = _watch(api, deployment, show)
    except NotFound:
        raise PaddockError(f"{name} was deleted while it started") from None
    except KeyboardInterrupt:
        remark(
            f"{name} goes on without you: `paddock describe {name}` tells how far it is,"
            f" `paddock rm {name}` takes it away"
        )
        raise
    if deployment["status"] in ("stopped", "deleting"):
        raise PaddockError(f"{name} is {deployment['status']}: somebody did not want it to start")
    return deployment


def _watch(api: DeploymentsApi, deployment: JSON, show: Show) -> JSON:
    walk = Walk()
    # One that sleeps from the beginning walks no steps.
    while deployment["status"] != "asleep":
        show(walk.see(deployment, time.monotonic()))
        if deployment["status"] not in _PASSING:
            break
        time.sleep(POLL_SECONDS)
        # By its id: the name may be another's before this one is looked at again.
        deployment = api.get(str(deployment["id"]))
    return deployment


def furthest(deployment: JSON) -> JSON | None:
    """The replica of the newest generation that is nearest to answering."""
    newest = [
        one
        for one in deployment["replicas"]
        if one["state"] not in ("draining", "ending") and one["generation"] == deployment["generation"]
    ]
    return max(newest, key=lambda one: (one["step"], one["done"]), default=None)


def failure(deployment: JSON) -> PaddockError:
    """Shows the last lines of the engine's log. Returns what to raise."""
    for line in deployment["log"]:
        remark(str(line))
    return PaddockError(f"{deployment['name']} failed: {deployment['reason'] or 'no reason is known'}")


def _note(deployment: JSON, replica: JSON | None) -> str:
    said = str(deployment["reason"])
    if not said and replica is not None and deployment["status"] in _PASSING:
        if replica["state"] == "ready":
            ready = sum(one["state"] == "ready" for one in deployment["replicas"])
            said = f"{ready} of {deployment['min_workers']} replicas"
        elif replica["step"] != FETCHING or not replica["total"]:
            # Otherwise the bytes are told, by a bar or a line.
            said = str(replica["description"])
    return " ".join(printable(said).split())


def _display(quiet: bool) -> AbstractContextManager[Show]:
    if quiet:
        return _Nothing()
    return _Screen() if sys.stderr.isatty() else _Lines()


class _Nothing(AbstractContextManager[Show]):
    def __enter__(self) -> Show:
        return self._show

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _show(self, steps: list[Step]) -> None:
        return None


class _Lines(_Nothing):
    """A line for each step that begins, and now and then one about a step that takes long."""

    def __init__(self) -> None:
        self._step = self._note = ""
        self._at = 0.0

    def _show(self, steps: list[Step]) -> None:
        step = next((one for one in steps if one.state == "now"), None)
        if step is None:
            return
        amount = f": {size(step.done)} of {size(step.total)}" if step.total else ""
        # The reason of a failed start stays until one succeeds; to read it once is enough.
        note = f": {step.note}" if step.note not in ("", self._note) else ""
        now = time.monotonic()
        if note or step.name != self._step or (amount and now - self._at >= LINE_SECONDS):
            self._step, self._note, self._at = step.name, step.note or self._note, now
            remark(step.name + note + amount)


class _Screen(_Nothing):
    """The five steps, drawn over each other as they go on."""

    def __enter__(self) -> Show:
        # rich takes a tenth of a second to import, which no other command should pay.
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._spinner = Spinner("dots")
        self._live = Live(console=Console(stderr=True, highlight=False), refresh_per_second=12.5)
        self._live.start()
        return self._show

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _show(self, steps: list[Step]) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        for step in steps:
            note: Any = Text(step.note, style="dim", overflow="ellipsis", no_wrap=True)
            if step.seconds is not None:
                note = Text(duration(step.seconds), style="dim")
            if step.total:
                note = Table.grid(padding=(0, 1))
                note.add_row(
                    ProgressBar(step.total, step.done, width=30),
                    Text(f"{size(step.done)} of {size(step.total)}", style="dim"),
                )
            mark: Any = self._spinner if step.state == "now" else Text(_MARKS[step.state])
            grid.add_row(mark, Text(step.name, style="dim" if step.state == "later" else ""), note)
        self._live.update(grid)
