"""Waiting for a batch, and fetching its answers."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from paddock.cli.batch_answers import Answers, Written, write_answers
from paddock.cli.batch_api import BatchesApi
from paddock.cli.batch_lines import Sent
from paddock.cli.batch_progress import Pace, Standing
from paddock.cli.batch_rows import read_rows
from paddock.cli.batch_sending import Order
from paddock.cli.files_api import FilesApi
from paddock.cli.progress_lines import Display
from paddock.cli.waiting import patiently
from paddock.errors import Conflict, NotFound, PaddockError, StartupError

JSON = dict[str, Any]
POLL_SECONDS = 0.5
STEPS = {
    "validating": "checking",
    "in_progress": "answering",
    "finalizing": "finishing",
    "cancelling": "cancelling",
}
"""What is shown of the states in which a batch is not over."""
_FILES = ("output_file_id", "error_file_id")


def wait_until_ended(batch: JSON, total: int, batches: BatchesApi, display: Display[Standing]) -> JSON:
    """The batch once it is over, in whatever way.

    Raises:
        PaddockError: it is gone, or the server cannot be asked; that the server is away for a time is none.
    """
    pace = Pace()
    identity = str(batch["id"])
    while True:
        counts = batch.get("request_counts") or {}
        failed = int(counts.get("failed") or 0)
        done = int(counts.get("completed") or 0) + failed
        step = STEPS.get(batch["status"], "done")
        rate = pace.see(done, time.monotonic())
        display.show(Standing(step, done, failed, total, rate))
        if batch["status"] not in STEPS:
            return batch
        time.sleep(POLL_SECONDS)
        try:
            batch = patiently(lambda: batches.get(identity), display.say)
        except NotFound:
            raise PaddockError(
                f"the server does not know {identity} any more: the same command sends the prompts anew"
            ) from None


def collect(
    order: Order, sent: Sent, batch: JSON, files: FilesApi, display: Display[Standing]
) -> Written | None:
    """Writes the output from what the batch has; None if it ended before anything was answered.

    Raises:
        PaddockError: the output cannot be written, or the input is not any more what was sent.
    """
    found = [str(batch[name]) for name in _FILES if batch.get(name)]
    if not found and batch["status"] != "completed":
        return None
    if order.out.exists() and not order.overwrite:
        raise Conflict(f"{order.out} was made by others meanwhile: use --overwrite to replace it")
    with ExitStack() as stack:
        outputs = [stack.enter_context(spool(order.out)) for _ in found]
        try:
            for identity, output in zip(found, outputs, strict=True):
                _fetch(identity, output, files, display)
        except OSError as error:
            raise PaddockError(f"cannot write in {order.out.parent}: {error.strerror or error}") from error
        rows = read_rows(order.source, order.column)
        return write_answers(order.out, rows, order.asking, sent, Answers(outputs))


def spool(out: Path) -> BinaryIO:
    """A file without a name beside the output, where there is room for what has the size of the output.

    Raises:
        StartupError: nothing can be written there.
    """
    try:
        return tempfile.TemporaryFile(dir=out.parent)
    except OSError as error:
        raise StartupError(f"cannot write in {out.parent}: {error.strerror or error}") from error


def _fetch(identity: str, output: BinaryIO, files: FilesApi, display: Display[Standing]) -> None:
    """Leaves `output` at its beginning."""

    def download() -> None:
        output.seek(0)
        output.truncate()
        files.download(identity, output)

    patiently(download, display.say)
    output.seek(0)
