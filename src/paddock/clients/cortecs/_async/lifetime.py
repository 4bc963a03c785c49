"""One instance from its start to its deletion, whatever happens in between."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import Any

from paddock.clients.cortecs._async.client import AsyncCortecs
from paddock.clients.cortecs.error import (
    Conflict,
    ConnectionFailed,
    CortecsError,
    NotFound,
    ServerError,
    Timeout,
    may_pass,
)
from paddock.clients.cortecs.loop_calls import undisturbed
from paddock.schemas.cortecs import Instance

LABEL = "paddock.lifetime"
# Seconds for which ending is tried: a server that is started anew is back within that.
END_WITHIN = 10.0
_FIRST_PAUSE = 0.25


class AsyncLifetime:
    """Starts one instance, and ends it for certain: it costs for as long as it is forgotten.

    Args:
        client: whose instance it is.
        start_args: of `client.start`.
    """

    def __init__(self, client: AsyncCortecs, **start_args: Any) -> None:
        self.instance: Instance | None = None
        self._client = client
        self._start_args = start_args
        self._label = uuid.uuid4().hex

    async def begin(self, poll_interval: float, max_retries: int) -> Instance:
        """The instance, running. If anything else happens, it is ended first.

        Raises:
            CortecsError: see `AsyncCortecs.start`.
        """
        try:
            await undisturbed(self._start)
            assert self.instance is not None
            instance_id = self.instance.instance_id
            self.instance = await self._client.poll_instance(instance_id, poll_interval, max_retries)
            return self.instance
        except BaseException as error:
            await self.end(error)
            raise

    async def end(self, cause: BaseException | None = None) -> None:
        """Stop and delete the instance; a second time does nothing.

        Args:
            cause: what is being raised; a failure to end the instance becomes a note on it.

        Raises:
            CortecsError: the instance could not be ended, and there is no `cause`.
        """
        instance, self.instance = self.instance, None
        if instance is None:
            return
        try:
            await undisturbed(lambda: self._discard(instance.instance_id))
        except CortecsError as error:
            lost = f"instance {instance.instance_id} could not be ended, and may cost"
            if cause is None:
                error.add_note(lost)
                raise
            cause.add_note(f"{lost}: {error}")

    async def _start(self) -> None:
        labels = {LABEL: self._label}
        try:
            self.instance = await self._client.start(**self._start_args, labels=labels, poll=False)
        except (ConnectionFailed, ServerError, Timeout) as error:
            await self._find(error)
            raise

    async def _find(self, lost: CortecsError) -> None:
        """The instance that the server may have started all the same, although its answer is lost."""
        try:
            instances = await self._client.get_all_instances()
        except CortecsError as error:
            lost.add_note(f"whether an instance was started is not known: {error}")
            return
        for instance in instances:
            if (instance.labels or {}).get(LABEL) == self._label:
                self.instance = instance

    async def _discard(self, instance_id: str) -> None:
        end, pause = time.monotonic() + END_WITHIN, _FIRST_PAUSE
        while True:
            try:
                # It may have stopped by itself.
                with suppress(Conflict):
                    await self._client.stop(instance_id)
                await self._client.delete(instance_id)
                return
            except NotFound:
                return
            except CortecsError as error:
                # Deleting conflicts for as long as the instance is about to stop.
                passing = isinstance(error, Conflict) or may_pass(error)
                if not passing or time.monotonic() > end:
                    raise
            await asyncio.sleep(pause)
            pause *= 2
