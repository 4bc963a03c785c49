"""Keys: who may ask for what, in which project."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.schemas.limits import Limits
from paddock.services.deployments import LOCAL

INFERENCE, MANAGE, ADMIN = "inference", "manage", "admin"
SCOPES = (INFERENCE, MANAGE, ADMIN)


@dataclass(frozen=True, slots=True)
class Key:
    """
    Attributes:
        id: public; empty for those who come without a key.
        scopes: `inference` asks models, `manage` changes what the project has, `admin` is for whoever runs
            the server: keys, limits and usage of all projects.
        models: names of models that it may ask, with `*` for any text; empty for all.
        expires_at: in seconds since 1970.
    """

    id: str
    project: str
    name: str = ""
    scopes: frozenset[str] = frozenset(SCOPES)
    models: tuple[str, ...] = ()
    limits: Limits = Limits()
    expires_at: float | None = None


ANYBODY = Key("", LOCAL)
"""Who comes without a key where none is needed: all are one, and everything of theirs is in one project."""
