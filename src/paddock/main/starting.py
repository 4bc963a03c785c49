"""What a person sees while the models of the command line start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from paddock.errors import StartupError
from paddock.main.progress import Progress
from paddock.schemas.own import Deployment
from paddock.services import deployments
from paddock.services.platform import Platform

POLL_SECONDS = 0.05


class Starting:
    """
    Args:
        announce: takes lines for a person.
    """

    def __init__(self, platform: Platform, announce: Callable[[str], None]) -> None:
        self._platform = platform
        self._announce = announce

    async def until_ready(self, wished: Sequence[Deployment]) -> None:
        """
        Raises:
            StartupError: one of them cannot start; says why, with its engine's last lines.
        """
        watching = [asyncio.create_task(self._watch(one)) for one in wished]
        try:
            await asyncio.gather(*watching)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _watch(self, wished: Deployment) -> None:
        bell = asyncio.Event()
        unlisten = self._platform.store.on_change(bell.set)
        try:
            with Progress(f"Preparing {wished.name}", self._announce) as progress:
                while True:
                    bell.clear()
                    one = await deployments.get(self._platform, wished.project, wished.id)
                    if one.status in ("ready", "asleep", "stopped"):
                        return
                    if one.status == "failed":
                        raise StartupError(f"{one.name}: {_why(one)}")
                    furthest = one.furthest
                    if furthest is not None and furthest.step == 3 and furthest.total:
                        progress(furthest.done, furthest.total)
                    await _rung(bell)
        finally:
            unlisten()


async def _rung(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await bell.wait()
    except TimeoutError:
        return


def _why(one: Deployment) -> str:
    if not one.log:
        return one.reason
    return one.reason + ". Its last lines:\n" + "\n".join(f"    {line}" for line in one.log)
