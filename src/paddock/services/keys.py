"""Keys: who may ask for what, in which project."""

from __future__ import annotations

import fnmatch
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.errors import Conflict, InvalidRequest, NotFound
from paddock.schemas.limits import Limits
from paddock.services import projects
from paddock.services.deployments import LOCAL
from paddock.store.sessions import ChangeSession
from paddock.store.tables import KeyRow

INFERENCE, MANAGE, ADMIN = "inference", "manage", "admin"
SCOPES = (INFERENCE, MANAGE, ADMIN)
USUAL_SCOPES = (INFERENCE, MANAGE)
SECRET_PREFIX = "paddock_"
"""By which programs that look for leaked secrets know ours."""
MOST_NAME = 128
LATEST = 4_102_444_800
"""The year 2100: what ends later is meant never to end."""
MOST_MODELS = 1000
_HINT = 4
_NAME = re.compile(r"[^\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Key:
    """
    Attributes:
        id: public; empty for those who come without a key.
        scopes: `inference` asks models, `manage` changes what the project has, `admin` is for whoever runs
            the server: keys, limits and usage of all projects.
        models: names of models that it may ask, with `*` for any text; empty for all.
        created_at, expires_at, revoked_at, previous_until: in seconds since 1970.
        hint: the end of its secret.
        previous_until: until when the secret works that it had before it was rotated.
    """

    id: str
    project: str
    name: str = ""
    scopes: frozenset[str] = frozenset(SCOPES)
    models: tuple[str, ...] = ()
    limits: Limits = Limits()
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None
    hint: str = ""
    previous_until: float = 0.0

    def works(self, now: float) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may_ask(self, *names: str) -> bool:
        """Whether it may ask the model that bears these names."""
        if not self.models:
            return True
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.models for name in names if name)


ANYBODY = Key("", LOCAL)
"""Who comes without a key where none is needed: all are one, and everything of theirs is in one project."""
PASSER_BY = replace(ANYBODY, scopes=frozenset(USUAL_SCOPES))
"""The same where others than the users of this machine come so: they do not run the server."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is asked for; `None` of a change leaves it as it is.

    Attributes:
        expires_at: in seconds since 1970; 0.0 never.
    """

    name: str | None = None
    scopes: Sequence[str] | None = None
    models: Sequence[str] | None = None
    limits: Mapping[str, Any] | None = None
    expires_at: float | None = None


def new_secret() -> str:
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """By which a secret is found again."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create(
    session: ChangeSession, identity: str, secret: str, project: str, asked: NewKey, now: float
) -> Key:
    """
    Args:
        identity: from `new_id`; the same again is the same key.
        secret: from `new_secret`.

    Raises:
        InvalidRequest: a field is wrong.
    """
    if (row := session.get(KeyRow, identity)) is not None:
        return _key(row)
    if not asked.name:
        raise InvalidRequest("name must not be empty: by it you know the key again", param="name")
    projects.ensure(session, project, now)
    row = KeyRow(
        id=identity,
        project=project,
        secret_hash=digest(secret),
        hint=secret[-_HINT:],
        scopes=list(USUAL_SCOPES),
        created_at=now,
    )
    _write(session, row, asked, now)
    session.add(row)
    session.flush()
    return _key(row)


def new_id() -> str:
    return f"key-{secrets.token_hex(8)}"


def change(session: ChangeSession, project: str | None, identity: str, asked: NewKey, now: float) -> Key:
    """
    Args:
        project: whose key it must be; None takes it in any.

    Raises:
        NotFound: there is none.
        InvalidRequest: a field is wrong.
        Conflict: it is revoked.
    """
    row = _find(session, project, identity)
    _must_not_be_revoked(row)
    _write(session, row, asked, now)
    session.flush()
    return _key(row)


def rotate(
    session: ChangeSession, project: str | None, identity: str, secret: str, keep_old: float, now: float
) -> Key:
    """Gives the key another secret; the old one works for `keep_old` seconds more.

    Raises:
        NotFound, Conflict: as `change`.
    """
    row = _find(session, project, identity)
    if row.secret_hash == digest(secret):
        return _key(row)
    _must_not_be_revoked(row)
    row.previous_hash, row.previous_until = (row.secret_hash, now + keep_old) if keep_old else ("", 0.0)
    row.secret_hash, row.hint, row.revision = digest(secret), secret[-_HINT:], session.revision
    session.flush()
    return _key(row)


def revoke(session: ChangeSession, project: str | None, identity: str, now: float) -> Key:
    """Ends the key for ever. To do it again changes nothing.

    Raises:
        NotFound: there is none.
    """
    row = _find(session, project, identity)
    if row.revoked_at is None:
        row.revoked_at, row.revision = now, session.revision
        session.flush()
    return _key(row)


def get(session: Session, project: str | None, identity: str) -> Key:
    """
    Raises:
        NotFound: there is none.
    """
    return _key(_find(session, project, identity))


def list_all(session: Session, project: str | None, *, revoked: bool = False) -> list[Key]:
    """Those of the project, or of all, the oldest first; the revoked ones only if asked for."""
    query = select(KeyRow).order_by(KeyRow.project, KeyRow.created_at, KeyRow.id)
    if project is not None:
        query = query.where(KeyRow.project == project)
    if not revoked:
        query = query.where(KeyRow.revoked_at.is_(None))
    return [_key(row) for row in session.scalars(query)]


def show(key: Key) -> dict[str, Any]:
    """As callers see it; nothing in it opens anything."""
    return {
        "id": key.id,
        "name": key.name,
        "project": key.project,
        "scopes": [one for one in SCOPES if one in key.scopes],
        "models": list(key.models),
        "limits": projects.show_limits(key.limits),
        "hint": key.hint,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def changed_since(session: Session, revision: int) -> list[tuple[Key, str, str]]:
    """(key, digest of its secret, digest of the one before) of all that were changed after `revision`."""
    rows = session.scalars(select(KeyRow).where(KeyRow.revision > revision))
    return [(_key(row), row.secret_hash, row.previous_hash) for row in rows]


def _find(session: Session, project: str | None, identity: str) -> KeyRow:
    row = session.get(KeyRow, identity)
    if row is None or (project is not None and row.project != project):
        raise NotFound(f"there is no key {identity[:140]!r}", code="key_not_found")
    return row


def _must_not_be_revoked(row: KeyRow) -> None:
    if row.revoked_at is not None:
        raise Conflict(f"the key {row.id} is revoked, for ever; create another one", code="key_revoked")


def _write(session: ChangeSession, row: KeyRow, asked: NewKey, now: float) -> None:
    if asked.name is not None:
        row.name = _checked_name(asked.name)
    if asked.scopes is not None:
        row.scopes = _checked_scopes(asked.scopes)
    if asked.models is not None:
        row.models = _checked_models(asked.models)
    if asked.limits is not None:
        row.limits = projects.changed_limits(row.limits or {}, asked.limits)
    if asked.expires_at is not None:
        if asked.expires_at and not now < asked.expires_at <= LATEST:
            raise InvalidRequest(
                f"expires_at must be a time to come in seconds since 1970, up to {LATEST}, not"
                f" {asked.expires_at:.16g}",
                param="expires_at",
            )
        row.expires_at = asked.expires_at or None
    row.revision = session.revision


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > MOST_NAME:
        raise InvalidRequest(
            f"name must have 1 to {MOST_NAME} characters and no line breaks, not {name[:40]!r}", param="name"
        )
    return name


def _checked_scopes(scopes: Sequence[str]) -> list[str]:
    for one in scopes:
        if one not in SCOPES:
            raise InvalidRequest(
                f"scopes must be some of {', '.join(SCOPES)}, not {str(one)[:40]!r}", param="scopes"
            )
    if not scopes:
        raise InvalidRequest(f"scopes must name at least one of {', '.join(SCOPES)}", param="scopes")
    return [one for one in SCOPES if one in scopes]


def _checked_models(models: Sequence[str]) -> list[str]:
    if len(models) > MOST_MODELS or any(not one or len(one) > 256 or "\0" in one for one in models):
        raise InvalidRequest(
            f"models must be up to {MOST_MODELS} names of 1 to 256 characters, with * for any text; none"
            " allows every model",
            param="models",
        )
    return list(models)


def _key(row: KeyRow) -> Key:
    return Key(
        id=row.id,
        project=row.project,
        name=row.name,
        scopes=frozenset(row.scopes),
        models=tuple(row.models or ()),
        limits=projects.read_limits(row.limits or {}),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        hint=row.hint,
        previous_until=row.previous_until or 0.0,
    )
