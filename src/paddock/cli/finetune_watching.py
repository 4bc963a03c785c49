"""Watching a fine-tune until it is over, and what there is to say then."""

from __future__ import annotations

import shlex
import time
from typing import Any

from paddock.cli.finetune_api import FineTunesApi
from paddock.cli.finetune_losses import Losses
from paddock.cli.finetune_progress import Standing, display, standing
from paddock.cli.output import printable, remark
from paddock.cli.progress_lines import Display
from paddock.cli.waiting import patiently
from paddock.errors import NotFound, PaddockError

JSON = dict[str, Any]
POLL_SECONDS = 0.5
_QUESTION = "Hello!"


def watch(identity: str, api: FineTunesApi, at_server: str) -> tuple[JSON, Losses]:
    """The job once it is over, in whatever way, and what it measured.

    Args:
        at_server: see `server_words`.

    Raises:
        PaddockError: it is gone, or the server cannot be asked; that the server is away for a time is none.
        KeyboardInterrupt: whoever watched does not want to any more, and was told what goes on.
    """
    losses = Losses()
    try:
        with display() as shown:
            return _watch(identity, api, losses, shown), losses
    except NotFound:
        raise PaddockError(f"the server does not know {identity} any more") from None
    except KeyboardInterrupt:
        remark(
            f"{identity} goes on without you: `paddock finetune show {identity} --follow{at_server}` looks at"
            f" it again, `paddock finetune cancel {identity}{at_server}` ends it"
        )
        raise


def _watch(identity: str, api: FineTunesApi, losses: Losses, shown: Display[Standing]) -> JSON:
    while True:
        # The job before its events: when it is over, none comes any more.
        job = patiently(lambda: api.get(identity), shown.say)
        losses.take(patiently(lambda: api.events(identity, losses.last), shown.say))
        shown.show(standing(job, losses))
        if job["finished_at"] is not None:
            return job
        time.sleep(POLL_SECONDS)


def ended(job: JSON) -> PaddockError | None:
    """What to raise of one that is over without a model."""
    if job["state"] == "completed":
        return None
    said = {"failed": "failed", "expired": "was not done within its time", "cancelled": "was cancelled"}
    reason = f": {job['reason']}" if job["reason"] else ""
    return PaddockError(f"{job['id']} {said.get(job['state'], job['state'])}{reason}")


def model_of(job: JSON) -> str:
    """The name of what came of it; empty if nothing did."""
    return printable(str(job["results"].get("fine_tuned_model") or ""))


def commands_to_try(model: str, at_server: str) -> list[str]:
    """`paddock chat MODEL`, and what continues a text."""
    name = shlex.quote(model)
    return [
        f"paddock chat {name}{at_server}",
        f"paddock complete --model {name}{at_server} {shlex.quote(_QUESTION)}",
    ]


def server_words(base_url: str | None) -> str:
    """What further commands need to reach the same server: ` --base-url URL`, or nothing."""
    return f" --base-url {shlex.quote(base_url)}" if base_url else ""
