"""The seam below which processes, paths and addresses of machines lie: see the Protocols' comments.

A runner starts programs (engines and jobs) on the nodes it knows. Its owner holds names, opaque handles and
the address that an engine answers at, and nothing else of where things are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from paddock.engines.engine import Program, Progress
from paddock.schemas.hardware import Node

Report = Callable[[Progress | Literal["loading"]], None]
"""Told how a start goes, in the owner's event loop. Fetching and converting may be left out."""

MARKER = "PADDOCK_REPLICA"
"""Every process has its name in this variable of its environment, by which it is known for ours."""

STOP_GRACE = 5.0


class Running(Protocol):
    """A process that was ready once.

    It runs, or it has ended; there is no way back. It ends by itself, by `stop`, or with its runner's
    `close`; its children end with it.

    Attributes:
        handle: names it to `Runner.adopt`, also after its owner was started again; a string to keep, and
            not to look into.
        address: `http://127.0.0.1:41671`, from where its owner is; empty for a job.
        facts: what its program said when it was prepared.
    """

    @property
    def handle(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def facts(self) -> dict[str, Any]: ...

    async def wait(self) -> str:
        """Returns why it ended, for a person: `was killed (SIGKILL)`, `ended with status 3`.

        While it runs: as soon as it ends, for whatever reason. When it has ended: at once, the same again.
        Any number of callers may wait; cancelling one of them ends nothing.
        """
        ...

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Ends it: asks it to, and after `grace` seconds kills it. What it was doing is lost.

        While it runs: returns when nothing of it is left. When it has ended: returns at once. Two callers
        share the shorter grace.
        """
        ...

    async def read_log(self, offset: int) -> tuple[list[str], int]:
        """The whole lines that it wrote since `offset`, and the offset to go on from; begin with 0.

        Runs or ended: the same; a log is kept for a while after the end. Of a log that grew large the
        oldest lines are gone: reading goes on at the first that is there.
        """
        ...


class Runner(Protocol):
    """Where processes run.

    Attributes:
        name: `local`, `ray`.
    """

    @property
    def name(self) -> str: ...

    async def nodes(self) -> list[Node]:
        """The machines that programs can be started on, and what each has."""
        ...

    async def start(
        self, program: Program, *, node: str, name: str, timeout: float, report: Report
    ) -> Running:
        """Prepares the program on the node, starts it, and returns once it is ready.

        Args:
            node: one of `nodes`, by name.
            name: of the process: its log and its marker. No two that run may share one.
            timeout: seconds from its launch to ready. Preparing is not counted, for a download may take an
                hour: who waits sees from `report` whether it goes on, and cancels when it does not.

        It fails, is cancelled, or the runner is closed meanwhile: nothing is left running, and what was
        being prepared ends at its next report. Ended while it starts: an error, not a `Running`.

        Raises:
            StartupError: it cannot be prepared, ended before it was ready, or was not ready in time. The
                message has the program's own reason, `log` its last lines.
        """
        ...

    async def adopt(self, handle: str) -> Running | None:
        """The process that an earlier owner left, if it still runs and can be taken over.

        Otherwise None, and then nothing of it runs any more: what was left is dead. Never touches a process
        that is not the one of the handle. A handle that is none of this runner's: None.
        """
        ...

    async def close(self) -> None:
        """Ends all that it started and that cannot live without it. `start` fails from now on."""
        ...
