"""Finding the batch that makes an output, or sending it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from paddock.cli import batch_state
from paddock.cli.batch_api import BatchesApi
from paddock.cli.batch_lines import Asking, Sent
from paddock.cli.batch_state import State
from paddock.cli.files_api import FilesApi
from paddock.cli.output import remark
from paddock.cli.tables import age
from paddock.cli.waiting import passes, patiently
from paddock.errors import NotFound, PaddockError, StartupError

JSON = dict[str, Any]
INPUT, OUTPUT = "paddock_input", "paddock_output"
"""Metadata by which a batch is found again: the SHA-256 of its lines, and the name of its output."""
_UNFINISHED = ("validating", "in_progress", "finalizing")


@dataclass(frozen=True)
class Order:
    """What is wanted.

    Attributes:
        source, out: the files of prompts and of answers.
        column: the heading or field of the prompts.
        window: the time within which it must be done, as OpenAI writes it: `24h`.
        overwrite: an output that exists may be replaced.
        restart: an earlier batch for this output is of no interest any more.
    """

    source: Path
    out: Path
    asking: Asking
    column: str
    window: str
    overwrite: bool
    restart: bool


class Sender:
    """Sends a batch once, however often it is asked to.

    Args:
        sent: what `lines` holds.
        lines: the batch, as it is uploaded.
    """

    def __init__(
        self, order: Order, sent: Sent, lines: BinaryIO, batches: BatchesApi, files: FilesApi
    ) -> None:
        self._order = order
        self._sent = sent
        self._lines = lines
        self._batches = batches
        self._files = files

    def find_or_send(self) -> JSON:
        """The batch, which from now on is found by the file beside the output.

        Raises:
            StartupError: what is known of an earlier batch does not go with what is wanted now.
            PaddockError: the server refused it, or is away from the beginning.
        """
        if self._order.restart:
            self._give_up()
            batch = self._send()
        else:
            batch = self._found() or self._send()
        state = State(self._batches.url, str(batch["id"]), self._sent.sha256)
        batch_state.save(self._order.out, state)
        return batch

    def _found(self) -> JSON | None:
        state = batch_state.load(self._order.out)
        if state is None:
            batch = next((one for one in self._batches.newest() if self._makes_this(one)), None)
        else:
            self._check(state)
            try:
                batch = self._batches.get(state.batch)
            except NotFound:
                remark(f"the server does not know {state.batch} any more: the prompts are sent anew")
                return None
        if batch is not None:
            remark(f"picking up {batch['id']}, which was sent {age(batch['created_at'])} ago")
        return batch

    def _check(self, state: State) -> None:
        out = self._order.out
        if state.server != self._batches.url:
            raise StartupError(
                f"{out} is made by {state.batch} at {state.server}, not at {self._batches.url}:"
                f" use --base-url {state.server} to go on with it, or --restart to send the prompts here"
            )
        if state.input != self._sent.sha256:
            raise StartupError(
                f"the prompts, or how they are to be asked, are not what was sent as {state.batch} for {out}:"
                " make them what they were to go on with it, or use --restart to cancel it and send these"
            )

    def _makes_this(self, batch: JSON) -> bool:
        metadata = batch.get("metadata") or {}
        if metadata.get(INPUT) != self._sent.sha256 or metadata.get(OUTPUT) != self._order.out.name:
            return False
        # Where the output is there already, who wants it again does not mean the answers that it has.
        done = batch["status"] == "completed" and not self._order.out.exists()
        return done or batch["status"] in _UNFINISHED

    def _give_up(self) -> None:
        try:
            state = batch_state.load(self._order.out)
        except StartupError:
            return
        if state is None or state.server != self._batches.url:
            return
        try:
            self._batches.cancel(state.batch)
            remark(f"{state.batch} is cancelled")
        except PaddockError as error:
            # It is gone, or over: then there is nothing to cancel.
            if passes(error):
                raise

    def _send(self) -> JSON:
        file = str(patiently(self._upload, remark)["id"])
        tried = False

        def create() -> JSON:
            nonlocal tried
            # A connection that broke does not tell whether the batch was accepted.
            if tried:
                for batch in self._batches.newest():
                    if batch.get("input_file_id") == file:
                        return batch
            tried = True
            metadata = {INPUT: self._sent.sha256, OUTPUT: self._order.out.name}
            return self._batches.create(file, self._sent.endpoint, self._order.window, metadata)

        try:
            return patiently(create, remark)
        except PaddockError:
            # The file was for nothing but this batch.
            with suppress(PaddockError):
                self._files.delete(file)
            raise

    def _upload(self) -> JSON:
        self._lines.seek(0)
        return self._files.upload(self._lines, f"{self._order.source.stem}.jsonl", "batch")
