"""Answers for whom a deployment's owner wants told of each: LLM Engine's post-inference hook `callback`.

A whole one is put down in the store before it is sent, a streamed one right after its end; whoever works at
jobs brings them there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from paddock.errors import PaddockError
from paddock.gateway.collect import Collector
from paddock.gateway.http import Request
from paddock.inference.deployment import Deployment, in_background
from paddock.inference.relay import Translator
from paddock.services.platform import Platform
from paddock.services.webhooks import outbox

JSON = dict[str, Any]
log = logging.getLogger(__name__)


def callback(platform: Platform, project: str, deployment_id: str) -> Callable[[str, bytes], Awaitable[None]]:
    """What `Deployment.callback` is. It raises nothing: the answer itself must not fail for it."""

    writing: set[asyncio.Task[None]] = set()

    def put_down(request_id: str, body: bytes) -> Awaitable[None]:
        # The end of a request, by a caller who leaves, does not end this.
        task = asyncio.create_task(write(request_id, body))
        writing.add(task)
        task.add_done_callback(writing.discard)
        return asyncio.shield(task)

    async def write(request_id: str, body: bytes) -> None:
        try:
            kept = await platform.store.write(
                lambda session: outbox.call_back(
                    session, project, deployment_id, request_id, body, time.time()
                )
            )
        except PaddockError as error:
            log.error("the answer to %s does not go to its callback: %s", request_id, error.message)
        except Exception:
            log.exception("the answer to %s does not go to its callback", request_id)
        else:
            if not kept:
                log.warning(
                    "the answer to %s does not go to its callback: too many wait for that of %s already",
                    request_id,
                    deployment_id,
                )

    return put_down


def wanted(request: Request, deployment: Deployment) -> bool:
    """Whether an answer is for somebody else too. Those of batches are not: they have files of their own;
    nor are those for other projects: what these ask and are told is not for the deployment's owner.
    """
    return (
        deployment.callback is not None and deployment.project == request.project and not in_background.get()
    )


async def tell(request: Request, deployment: Deployment, answer: JSON) -> None:
    """Returns once it is put down: an answer that is not sent yet then is told whatever happens."""
    if deployment.callback is not None:
        await deployment.callback(request.id, _body(request, answer))


def tell_soon(request: Request, deployment: Deployment, make: Callable[[], JSON]) -> None:
    """For an answer that was streamed to its end: nobody waits for more.

    Args:
        make: gives the answer as it would have been in one piece.
    """
    if deployment.callback is None:
        return
    try:
        body = _body(request, make())
    except (PaddockError, KeyError, TypeError, IndexError, AttributeError) as error:
        log.error("the answer to %s does not go to its callback: %s", request.id, error)
        return
    deployment.callback(request.id, body)


def _body(request: Request, answer: JSON) -> bytes:
    """As LLM Engine's hook has it."""
    return orjson.dumps({**answer, "task_id": request.id})


class Heard:
    """A translator that hears the engine's answer besides, to have it whole at the end."""

    def __init__(self, translator: Translator, *, chat: bool) -> None:
        self._translator = translator
        self._collector = Collector(chat)

    def restart(self) -> None:
        self._translator.restart()
        self._collector.restart()

    def feed(self, data: bytes) -> bytes:
        self._collector.feed(data)
        return self._translator.feed(data)

    def finish(self) -> bytes:
        return self._translator.finish()

    def fail(self, error: PaddockError) -> bytes:
        return self._translator.fail(error)

    def answer(self) -> JSON:
        """
        Raises:
            EngineFailed: it was not whole.
        """
        return self._collector.answer()
