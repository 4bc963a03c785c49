"""Which deployment a request's `model` means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from paddock.errors import InvalidRequest, ModelNotFound, StartupError
from paddock.inference.deployment import Deployment, Replica

__all__ = ["Deployment", "Directory", "Replica", "Routes"]

_SHOWN = 20
"""Names that an error lists."""


class Routes:
    """The served models by every name that callers use. A look-up takes the same time for any number.

    In this order: a deployment's or an adapter's name, its id, the model that it serves, the last segment of
    any of these.

    Args:
        beyond: what is found too, where there is nothing of one's own.
    """

    def __init__(self, deployments: Iterable[Deployment] = (), beyond: Routes | None = None) -> None:
        self._levels: tuple[Routes, ...] = (self,) if beyond is None else (self, *beyond._levels)
        self._by_name: dict[str, Deployment] = {}
        self._by_id: dict[str, Deployment] = {}
        self._by_model: defaultdict[str, dict[str, Deployment]] = defaultdict(dict)
        self._by_segment: defaultdict[str, dict[str, Deployment]] = defaultdict(dict)
        self._by_model_segment: defaultdict[str, dict[str, Deployment]] = defaultdict(dict)
        for deployment in deployments:
            self.add(deployment)

    def add(self, deployment: Deployment) -> None:
        """Makes the deployment known.

        Raises:
            StartupError: its name is taken.
        """
        if deployment.name in self._by_name:
            raise StartupError(
                f"two models are called {deployment.name!r}; serve one of them under another name"
            )
        self._by_name[deployment.name] = deployment
        if deployment.id:
            self._by_id[deployment.id] = deployment
        for index, key in self._keys(deployment):
            index[key][deployment.name] = deployment

    def add_hidden(self, deployment: Deployment) -> None:
        """Makes the deployment known by its id only."""
        self._by_id[deployment.id] = deployment

    def remove(self, deployment: Deployment) -> None:
        """Nobody finds it any more. Does nothing if it is not known."""
        if self._by_id.get(deployment.id) is deployment:
            del self._by_id[deployment.id]
        if self._by_name.get(deployment.name) is not deployment:
            return
        del self._by_name[deployment.name]
        for index, key in self._keys(deployment):
            index[key].pop(deployment.name, None)
            if not index[key]:
                del index[key]

    def all(self) -> list[Deployment]:
        """All that are not stopped, in the order in which they became known; one's own first."""
        found: dict[str, Deployment] = {}
        for level in self._levels:
            for name, one in level._by_name.items():
                if not one.stopped:
                    found.setdefault(name, one)
        return list(found.values())

    def by_id(self, identity: str) -> Deployment | None:
        for level in self._levels:
            if (found := level._by_id.get(identity)) is not None:
                return found
        return None

    def resolve(self, model: str) -> Deployment:
        """The deployment that `model` means.

        Raises:
            ModelNotFound: nothing is called so; the message lists what is served.
            InvalidRequest: several are.
        """
        for level in self._levels:
            exact = level._by_name.get(model) or level._by_id.get(model)
            if exact is not None:
                return exact
        found = self._first(lambda level: level._serving(level._by_model, model))
        if not found and _is_short(model):
            # `other-org/foal` is another model, not a short name of `paddock/foal`.
            last = _last_segment(model)
            found = self._first(
                lambda level: (
                    level._serving(level._by_segment, last) or level._serving(level._by_model_segment, last)
                )
            )
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(sorted(one.name for one in found)[:_SHOWN])
            raise InvalidRequest(
                f"model {model[:200]!r} is ambiguous; use one of {names}",
                param="model",
                code="model_ambiguous",
            )
        raise ModelNotFound(
            f"model {model[:200]!r} is not served here; served models: {self._served()}", param="model"
        )

    def _keys(self, deployment: Deployment) -> list[tuple[defaultdict[str, dict[str, Deployment]], str]]:
        keys = [(self._by_segment, _last_segment(deployment.name))]
        if deployment.model and deployment.model != deployment.name:
            keys.append((self._by_model, deployment.model))
            keys.append((self._by_model_segment, _last_segment(deployment.model)))
        return keys

    def _first(self, look: Callable[[Routes], list[Deployment]]) -> list[Deployment]:
        """What the first level finds that finds anything."""
        return next((found for level in self._levels if (found := look(level))), [])

    def _serving(self, index: defaultdict[str, dict[str, Deployment]], key: str) -> list[Deployment]:
        """Those of the key; the stopped ones only if there are no others."""
        found = list(index[key].values()) if key and key in index else []
        return [one for one in found if not one.stopped] or found

    def _served(self) -> str:
        names = sorted(one.name for one in self.all())
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return (", ".join(names[:_SHOWN]) or "none") + more


class Directory:
    """The served models of every project. Each finds its own, and those that are for all.

    Args:
        public: served for all: attached servers, models of the command line.
    """

    def __init__(self, public: Iterable[Deployment] = ()) -> None:
        self.public = Routes(public)
        self._projects: dict[str, Routes] = {}

    def of(self, project: str) -> Routes:
        """What the project can ask; the same object from now on."""
        routes = self._projects.get(project)
        if routes is None:
            routes = self._projects[project] = Routes(beyond=self.public)
        return routes

    def all(self) -> list[Deployment]:
        """Of all projects; names may occur twice."""
        found = {id(one): one for one in self.public.all()}
        for routes in self._projects.values():
            found.update((id(one), one) for one in routes.all())
        return list(found.values())


def _last_segment(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _is_short(model: str) -> bool:
    return "/" not in model or (model.startswith("accounts/") and "/models/" in model)
