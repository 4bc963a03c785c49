"""Which models a key may ask."""

from __future__ import annotations

from paddock.errors import Forbidden
from paddock.inference.routing import Deployment, Directory, Routes
from paddock.services.deployments import Permit
from paddock.services.keys import Key


def visible(directory: Directory, key: Key) -> Routes:
    """The models of the key's project and those for all, as far as the key is good for them."""
    routes = directory.of(key.project)
    return _Allowed(routes, key) if key.models else routes


def require(key: Key, *names: str) -> None:
    """
    Args:
        names: of one model.

    Raises:
        Forbidden: the key may not ask it.
    """
    if not key.may_ask(*names):
        raise Forbidden(
            f"the API key {key.name!r} is not for model {names[0]!r}; it is for {', '.join(key.models[:20])}",
            param="model",
            code="model_not_allowed",
        )


def permit(key: Key) -> Permit:
    """Raises, told the name of a model, if the key is not for it."""
    return lambda name: require(key, name)


class _Allowed(Routes):
    """Those of `routes` that the key names."""

    def __init__(self, routes: Routes, key: Key) -> None:
        super().__init__(beyond=routes)
        self._key = key

    def all(self) -> list[Deployment]:
        return [one for one in super().all() if self._may(one)]

    def by_id(self, identity: str) -> Deployment | None:
        found = super().by_id(identity)
        return found if found is not None and self._may(found) else None

    def resolve(self, model: str) -> Deployment:
        """
        Raises:
            ModelNotFound, InvalidRequest: as `Routes.resolve`.
            Forbidden: the key may not ask it.
        """
        found = super().resolve(model)
        require(self._key, found.name, found.model, found.id)
        return found

    def _may(self, found: Deployment) -> bool:
        return self._key.may_ask(found.name, found.model, found.id)
