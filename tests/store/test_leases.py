from __future__ import annotations

import asyncio

import pytest

from paddock.errors import Fenced
from paddock.store import leases
from paddock.store.sessions import Store

NAME = "work"


class TestLeases:
    async def test_one_holds_it_until_it_runs_out(self, store: Store) -> None:
        assert await store.change(lambda session: leases.acquire(session, NAME, "a", 100.0)) == 1
        assert await store.change(lambda session: leases.acquire(session, NAME, "b", 102.9)) is None
        assert await store.read(lambda session: leases.holder(session, NAME)) == ("a", 103.0)
        assert await store.change(lambda session: leases.acquire(session, NAME, "b", 103.0)) == 2

    async def test_renewing_keeps_it_and_an_old_token_does_nothing(self, store: Store) -> None:
        await store.change(lambda session: leases.acquire(session, NAME, "a", 100.0))
        await store.write(lambda session: leases.renew(session, NAME, 1, 102.0))
        assert await store.change(lambda session: leases.acquire(session, NAME, "b", 104.0)) is None
        assert await store.change(lambda session: leases.acquire(session, NAME, "b", 105.0)) == 2
        for verb in (
            lambda session: leases.renew(session, NAME, 1, 106.0),
            lambda session: leases.check(session, NAME, 1),
        ):
            with pytest.raises(Fenced, match="somebody else's"):
                await store.write(verb)
        await store.change(lambda session: leases.release(session, NAME, 1))
        assert await store.read(lambda session: leases.holder(session, NAME)) == ("b", 108.0)

    async def test_released_it_is_free_at_once(self, store: Store) -> None:
        await store.change(lambda session: leases.acquire(session, NAME, "a", 100.0))
        await store.change(lambda session: leases.release(session, NAME, 1))
        assert await store.read(lambda session: leases.holder(session, NAME)) is None
        assert await store.change(lambda session: leases.acquire(session, NAME, "b", 100.0)) == 2

    async def test_the_holder_may_take_it_again_with_a_new_token(self, store: Store) -> None:
        for fence in (1, 2):
            assert await store.change(lambda session: leases.acquire(session, NAME, "a", 100.0)) == fence

    async def test_of_many_at_once_one_gets_it(self, url: str, store: Store) -> None:
        others = [Store(url) for _ in range(3)]
        try:
            got = await asyncio.gather(
                *(
                    one.change(lambda session, name=str(number): leases.acquire(session, NAME, name, 100.0))
                    for number, one in enumerate((store, *others))
                )
            )
        finally:
            for one in others:
                one.close()
        assert sorted(got, key=str) == [1, None, None, None]
