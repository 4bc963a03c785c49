"""Keys that callers lend to a job: encrypted in the store, and gone with the job."""

from __future__ import annotations

import dataclasses
import stat
import time

from sqlalchemy import select

from paddock.services import job_secrets, jobs, work
from paddock.services.deployments import LOCAL
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform
from paddock.services.work import Ending, Offer
from paddock.store.tables import SecretRow

KEY = "0123456789abcdef0123456789abcdef01234567"
OFFER = Offer("worker", ("ft",), (), lambda worker: False)


async def lend(platform: Platform, key: str = KEY) -> str:
    identity = jobs.new_id("ft")
    sealed = await job_secrets.seal(platform, key)
    await jobs.create(platform, LOCAL, NewJob(identity, "ft", "openai", {}, 60.0, secret=sealed))
    return identity


async def kept(platform: Platform) -> list[bytes]:
    return await platform.store.read(lambda session: list(session.scalars(select(SecretRow.value))))


class TestJobSecrets:
    async def test_is_found_by_its_job_only(self, platform: Platform) -> None:
        identity, other = await lend(platform), await lend(platform, "another")
        assert await job_secrets.find(platform, identity) == KEY
        assert await job_secrets.find(platform, other) == "another"
        assert await job_secrets.find(platform, "ft_nobody") is None

    async def test_nobody_reads_it_in_the_store(self, platform: Platform) -> None:
        await lend(platform)
        assert all(KEY.encode() not in one for one in await kept(platform))
        mode = (platform.settings.data_dir / job_secrets.FILE).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600

    async def test_the_key_file_stays_the_same(self, platform: Platform) -> None:
        identity = await lend(platform)
        path = platform.settings.data_dir / job_secrets.FILE
        before = path.read_bytes()
        await lend(platform)
        assert path.read_bytes() == before
        path.unlink()
        await lend(platform)
        assert await job_secrets.find(platform, identity) is None

    async def test_machines_with_the_same_setting_read_it(self, platform: Platform) -> None:
        there = dataclasses.replace(platform.settings, secret_key="x" * 32)
        platform = dataclasses.replace(platform, settings=there)
        identity = await lend(platform)
        assert await job_secrets.find(platform, identity) == KEY
        assert not (platform.settings.data_dir / job_secrets.FILE).exists()
        other = dataclasses.replace(platform.settings, secret_key="y" * 32)
        assert await job_secrets.find(dataclasses.replace(platform, settings=other), identity) is None

    async def test_is_gone_once_the_job_is_over(self, platform: Platform) -> None:
        await lend(platform)
        held = await platform.store.change(lambda session: work.claim(session, time.time(), OFFER))
        assert held is not None
        assert len(await kept(platform)) == 1
        await platform.store.change(
            lambda session: work.end(session, held, Ending("failed", "why"), time.time())
        )
        assert await kept(platform) == []

    async def test_is_gone_with_a_job_that_never_began(self, platform: Platform) -> None:
        await jobs.cancel(platform, LOCAL, await lend(platform))
        assert await kept(platform) == []
