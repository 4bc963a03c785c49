"""Keys and projects in a store, for whoever may write it: no server need run, and one that does sees it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from paddock.errors import StartupError
from paddock.services import keys, projects
from paddock.services.deployments import LOCAL
from paddock.services.keys import NewKey
from paddock.settings import Settings
from paddock.store.sessions import FILE, Store, store_url

JSON = dict[str, Any]


class StoredKeys:
    """`Keys` of the store that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._path = None if settings.database_url else settings.data_dir / FILE
        self._url = store_url(settings.data_dir, settings.database_url)
        self._store: Store | None = None

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def create(self, asked: JSON) -> JSON:
        identity, secret, now = keys.new_id(), keys.new_secret(), time.time()
        project, wish = asked.get("project") or LOCAL, _wish(asked)
        key = self._open(new=True).change_now(
            lambda session: keys.create(session, identity, secret, project, wish, now)
        )
        return {**keys.show(key), "secret": secret}

    def all(self, project: str | None, revoked: bool) -> list[JSON]:
        found = self._open().read_now(lambda session: keys.list_all(session, project, revoked=revoked))
        return [keys.show(key) for key in found]

    def get(self, identity: str) -> JSON:
        return keys.show(self._open().read_now(lambda session: keys.get(session, None, identity)))

    def change(self, identity: str, asked: JSON) -> JSON:
        wish, now = _wish(asked), time.time()
        return keys.show(
            self._open().change_now(lambda session: keys.change(session, None, identity, wish, now))
        )

    def rotate(self, identity: str, keep_old: float) -> JSON:
        secret, now = keys.new_secret(), time.time()
        key = self._open().change_now(
            lambda session: keys.rotate(session, None, identity, secret, keep_old, now)
        )
        return {**keys.show(key), "secret": secret}

    def revoke(self, identity: str) -> JSON:
        now = time.time()
        return keys.show(self._open().change_now(lambda session: keys.revoke(session, None, identity, now)))

    def projects(self) -> list[JSON]:
        return [projects.show(one) for one in self._open().read_now(projects.list_all)]

    def limit_project(self, name: str, limits: JSON) -> JSON:
        now = time.time()
        return projects.show(
            self._open().change_now(lambda session: projects.set_limits(session, name, limits, now))
        )

    def _open(self, new: bool = False) -> Store:
        """
        Args:
            new: whether a store is made if there is none.

        Raises:
            StartupError: there is none, or it cannot be opened.
        """
        if self._store is None:
            if not new and self._path is not None and not self._path.exists():
                raise StartupError(_no_store(self._path))
            self._store = Store(self._url)
        return self._store


def _wish(asked: JSON) -> NewKey:
    return NewKey(**{name: value for name, value in asked.items() if name != "project"})


def _no_store(path: Path) -> str:
    return (
        f"there is no store at {path}: --data-dir must be the folder that `paddock serve` uses, by default"
        " ~/.paddock; `paddock keys create` makes a new one"
    )
