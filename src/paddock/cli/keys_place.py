"""Where the keys are that a command is about: on a server, or in a store that it opens itself."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import click

from paddock.cli.options import server_options

JSON = dict[str, Any]


class Keys(Protocol):
    """Keys and projects as Paddock's own API shows and takes them: see docs/keys.md.

    Raises (all methods):
        NotFound: there is no such key or project.
        PaddockError: it failed; the message is a line for a person.
    """

    def create(self, asked: JSON) -> JSON: ...

    def all(self, project: str | None, revoked: bool) -> list[JSON]: ...

    def get(self, identity: str) -> JSON: ...

    def change(self, identity: str, asked: JSON) -> JSON: ...

    def rotate(self, identity: str, keep_old: float) -> JSON:
        """
        Args:
            keep_old: seconds for which the secret before works too.
        """
        ...

    def revoke(self, identity: str) -> JSON: ...

    def projects(self) -> list[JSON]: ...

    def limit_project(self, name: str, limits: JSON) -> JSON: ...


def with_keys(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data-dir, --database-url, --base-url and --api-key; passed on as `keys`, which they say where to
    find.
    """

    @server_options
    @click.option(
        "--database-url", metavar="URL", help="Work on the store in this PostgreSQL, without a server."
    )
    @click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Work on the store in this folder, without a server; one may run.",
    )
    @functools.wraps(command)
    def run(
        data_dir: Path | None,
        database_url: str | None,
        base_url: str | None,
        api_key: str | None,
        **arguments: Any,
    ) -> Any:
        if data_dir is None and database_url is None:
            # Imported here, so that who works on a store does not wait for a client.
            from paddock.cli.keys_api import KeysApi

            return command(keys=KeysApi(base_url, api_key), **arguments)
        if base_url is not None or api_key is not None:
            raise click.UsageError(
                "--data-dir and --database-url name a store; --base-url and --api-key a server. Give one of"
                " them.",
                click.get_current_context(),
            )
        with _store(data_dir, database_url) as keys:
            return command(keys=keys, **arguments)

    return run


@contextlib.contextmanager
def _store(data_dir: Path | None, database_url: str | None) -> Iterator[Keys]:
    # Imported here: SQLAlchemy takes longer than all that asks a server.
    from paddock import settings
    from paddock.cli.keys_store import StoredKeys

    keys = StoredKeys(settings.load({"data_dir": data_dir, "database_url": database_url}))
    try:
        yield keys
    finally:
        keys.close()
