"""Keys and projects in the store, as the verbs and a gateway process have them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from paddock.errors import Conflict, InvalidRequest, NotFound, PaddockError, Unauthorized
from paddock.gateway.keyring import Keyring, changed_keys
from paddock.schemas.limits import NANO
from paddock.services import keys, projects
from paddock.services.keys import Key, NewKey
from paddock.services.platform import Platform
from paddock.services.signing import Signer
from paddock.store.sessions import Store
from paddock.store.tables import KeyRow

NOW = 1_700_000_000.0


async def create(store: Store, name: str = "Ann", project: str = "shop", **more: Any) -> tuple[Key, str]:
    """A key, and its secret."""
    identity, secret = keys.new_id(), keys.new_secret()
    asked = NewKey(name, **more)
    made = await store.change(lambda session: keys.create(session, identity, secret, project, asked, NOW))
    return made, secret


async def refusal(store: Store, work: Callable[[Any], Any]) -> PaddockError:
    before = await store.read(lambda session: keys.list_all(session, None, revoked=True))
    with pytest.raises(PaddockError) as caught:
        await store.change(work)
    assert await store.read(lambda session: keys.list_all(session, None, revoked=True)) == before
    return caught.value


class TestCreate:
    async def test_as_it_is_asked_for(self, store: Store) -> None:
        made, secret = await create(
            store,
            scopes=["admin", "inference"],
            models=["paddock/*"],
            limits={"requests_per_minute": 5, "budget": 2.5, "budget_period": "day"},
            expires_at=NOW + 60,
        )
        assert keys.show(made) == {
            "id": made.id,
            "name": "Ann",
            "project": "shop",
            "scopes": ["inference", "admin"],
            "models": ["paddock/*"],
            "limits": {
                "requests_per_minute": 5,
                "tokens_per_minute": None,
                "concurrent_requests": None,
                "budget": 2.5,
                "budget_period": "day",
            },
            "hint": secret[-4:],
            "created_at": NOW,
            "expires_at": NOW + 60,
            "revoked_at": None,
        }
        assert made.limits.budget == 5 * NANO // 2
        assert await store.read(lambda session: keys.get(session, "shop", made.id)) == made

    async def test_its_secret_is_nowhere(self, store: Store) -> None:
        made, secret = await create(store)
        row = await store.read(lambda session: session.get_one(KeyRow, made.id).__dict__)
        assert secret not in repr(row)
        assert row["secret_hash"] == keys.digest(secret)

    async def test_again_is_the_same_key(self, store: Store) -> None:
        """Work in the store may run twice."""

        def work(session: Any) -> Key:
            return keys.create(session, "key-1", "paddock_1", "shop", NewKey("Ann"), NOW)

        assert await store.change(work) == await store.change(work)

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            ({"name": ""}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "a" * 129}, "name"),
            ({"scopes": ["root"]}, "scopes"),
            ({"scopes": []}, "scopes"),
            ({"models": [""]}, "models"),
            ({"models": ["a"] * 1001}, "models"),
            ({"models": ["a\0"]}, "models"),
            ({"expires_at": NOW}, "expires_at"),
            ({"expires_at": -5.0}, "expires_at"),
            ({"expires_at": 1e300}, "expires_at"),
            ({"limits": {"rpm": 1}}, "limits.rpm"),
            ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
            ({"limits": {"requests_per_minute": 1.5}}, "limits.requests_per_minute"),
            ({"limits": {"tokens_per_minute": True}}, "limits.tokens_per_minute"),
            ({"limits": {"concurrent_requests": 10**13}}, "limits.concurrent_requests"),
            ({"limits": {"budget": -1}}, "limits.budget"),
            ({"limits": {"budget": float("nan")}}, "limits.budget"),
            ({"limits": {"budget": float("inf")}}, "limits.budget"),
            ({"limits": {"budget_period": "year"}}, "limits.budget_period"),
            ({"project": ""}, "project"),
            ({"project": "a/b"}, "project"),
            ({"project": "-a"}, "project"),
            ({"project": "a" * 64}, "project"),
            ({"project": "a\0b"}, "project"),
        ],
    )
    async def test_what_is_refused(self, store: Store, asked: dict[str, Any], param: str) -> None:
        fields = {"name": "Ann", "project": "shop", **asked}
        project = fields.pop("project")
        wish = NewKey(**fields)
        error = await refusal(
            store, lambda session: keys.create(session, "key-1", "paddock_1", project, wish, NOW)
        )
        assert isinstance(error, InvalidRequest)
        assert error.param == param
        assert await store.read(projects.list_all) == []


class TestChange:
    async def test_only_what_is_given(self, store: Store) -> None:
        made, _ = await create(store, limits={"requests_per_minute": 5, "budget": 1}, expires_at=NOW + 60)
        wish = NewKey(limits={"requests_per_minute": None, "tokens_per_minute": 7}, expires_at=0.0)
        await store.change(lambda session: keys.change(session, None, made.id, wish, NOW))
        found = await store.read(lambda session: keys.get(session, None, made.id))
        assert (found.name, found.scopes) == (made.name, made.scopes)
        assert found.expires_at is None
        limits = found.limits
        assert (limits.requests_per_minute, limits.tokens_per_minute, limits.budget) == (None, 7, NANO)

    async def test_one_of_another_project_is_none(self, store: Store) -> None:
        made, _ = await create(store)
        there = await refusal(
            store, lambda session: keys.change(session, "other", made.id, NewKey("Bob"), NOW)
        )
        none = await refusal(
            store, lambda session: keys.change(session, "other", "key-0", NewKey("Bob"), NOW)
        )
        assert isinstance(there, NotFound)
        assert there.message.replace(made.id, "key-0") == none.message

    async def test_a_revoked_one_stays_as_it_is(self, store: Store) -> None:
        made, _ = await create(store)
        gone = await store.change(lambda session: keys.revoke(session, None, made.id, NOW + 1))
        assert gone.revoked_at == NOW + 1
        again = await store.change(lambda session: keys.revoke(session, None, made.id, NOW + 2))
        assert again.revoked_at == NOW + 1
        for work in (
            lambda session: keys.change(session, None, made.id, NewKey("Bob"), NOW),
            lambda session: keys.rotate(session, None, made.id, "paddock_2", 0, NOW),
        ):
            assert isinstance(await refusal(store, work), Conflict)
        assert await store.read(lambda session: keys.list_all(session, None)) == []


class TestProjects:
    async def test_one_begins_with_its_first_key(self, store: Store) -> None:
        await create(store, "Ann", "shop")
        await create(store, "Bob", "shop")
        await create(store, "Cy", "farm")
        found = await store.read(projects.list_all)
        assert [one.name for one in found] == ["farm", "shop"]
        shown = await store.read(lambda session: keys.list_all(session, "shop"))
        assert sorted(key.name for key in shown) == ["Ann", "Bob"]

    async def test_limits(self, store: Store) -> None:
        await create(store)
        changed = await store.change(
            lambda session: projects.set_limits(session, "shop", {"budget": 3, "budget_period": "total"}, NOW)
        )
        assert projects.show(changed)["limits"]["budget"] == 3.0
        gone = await store.change(lambda session: projects.set_limits(session, "shop", {"budget": None}, NOW))
        assert not gone.limits

    async def test_only_what_there_is_has_limits_and_local_is_always_there(self, store: Store) -> None:
        for name in ("farm", "", "farm\0"):
            error = await refusal(
                store, lambda session, name=name: projects.set_limits(session, name, {}, NOW)
            )
            assert isinstance(error, NotFound)
        local = await store.change(lambda session: projects.set_limits(session, "local", {"budget": 1}, NOW))
        assert local.limits.budget == NANO


class TestKeyring:
    """What gateway processes of one store make of it."""

    @pytest.fixture
    async def rings(self, store: Store, platform: Platform) -> list[Keyring]:
        signers = [Signer(platform), Signer(platform)]
        for signer in signers:
            await signer.ready()
        return [Keyring(True, signer) for signer in signers]

    async def follow(self, store: Store, rings: list[Keyring], revision: int = 0) -> None:
        changed = await store.read(lambda session: changed_keys(session, revision))
        for ring in rings:
            ring.follow(changed)

    async def test_only_what_changed_is_read(self, store: Store, rings: list[Keyring]) -> None:
        made, secret = await create(store)
        await self.follow(store, rings)
        revision = await store.revision()
        other, _ = await create(store, "Bob", "farm")
        changed = await store.read(lambda session: changed_keys(session, revision))
        assert [key.id for key, *_ in changed.keys] == [other.id]
        assert [project.name for project in changed.projects] == ["farm"]
        revision = await store.revision()
        await store.change(lambda session: keys.revoke(session, None, made.id, time.time()))
        await self.follow(store, rings, revision)
        for ring in rings:
            with pytest.raises(Unauthorized, match="revoked"):
                ring.find({b"x-api-key": secret.encode()})

    async def test_rotation_with_grace(self, store: Store, rings: list[Keyring]) -> None:
        made, first = await create(store)
        second, third = keys.new_secret(), keys.new_secret()
        now = time.time()
        await self.follow(store, rings)
        token = {b"authorization": f"Bearer {rings[0].token(made)}".encode()}
        await store.change(lambda session: keys.rotate(session, None, made.id, second, 60.0, now))
        await self.follow(store, rings)
        for secret in (first, second):
            assert rings[0].find({b"x-api-key": secret.encode()}).id == made.id
        assert rings[0].find(token).id == made.id
        await store.change(lambda session: keys.rotate(session, None, made.id, third, 0.0, now))
        await self.follow(store, rings)
        for secret in (first, second):
            with pytest.raises(Unauthorized):
                rings[0].find({b"x-api-key": secret.encode()})
        with pytest.raises(Unauthorized):
            rings[0].find(token)
        assert rings[0].find({b"x-api-key": third.encode()}).hint == third[-4:]

    async def test_a_token_of_one_process_is_good_for_another(
        self, store: Store, rings: list[Keyring], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, secret = await create(store)
        await self.follow(store, rings)
        token = rings[0].token(rings[0].authenticate(made.id, secret))
        sent = {b"authorization": f"Bearer {token}".encode()}
        assert rings[1].find(sent) == made
        for wrong in (
            token[:-1] + ("0" if token[-1] != "0" else "1"),
            token.replace(made.id, "key-0"),
            f"{token}x",
        ):
            with pytest.raises(Unauthorized):
                rings[1].find({b"authorization": f"Bearer {wrong}".encode()})
        name, identity, expires, signature = token.split(".")
        longer = ".".join([name, identity, str(int(expires) + 1), signature])
        with pytest.raises(Unauthorized, match="not known here"):
            rings[1].find({b"authorization": f"Bearer {longer}".encode()})
        over = time.time() + 3601
        with monkeypatch.context() as later:
            later.setattr("time.time", lambda: over)
            with pytest.raises(Unauthorized, match="is over"):
                rings[1].find(sent)
        await store.change(lambda session: keys.revoke(session, None, made.id, time.time()))
        await self.follow(store, rings)
        with pytest.raises(Unauthorized, match="revoked"):
            rings[1].find(sent)
