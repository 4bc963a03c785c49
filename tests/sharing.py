"""Which worker runs which files where several run the tests at once (`pytest -n 2`)."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

BUSY = ("tests/browser/", "tests/e2e/", "tests/process/", "tests/unit/training/")
"""What keeps the cores busy by itself: real engines, real training, a real browser."""


class OneHasTheEngines(LoadFileScheduling):
    """The first worker takes the busy files, the others those that mostly wait: two engines that want the
    same cores are slower than one after the other. Whose own are used up takes of the others'.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        wants_busy = node is next(iter(self.assigned_work))
        own = next((file for file in self.workqueue if file.startswith(BUSY) == wants_busy), None)
        if own is not None:
            self.workqueue.move_to_end(own, last=False)
        super()._assign_work_unit(node)
