"""The adapters that a gateway serves: each answers through the engines of one deployment that has it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable

from paddock.errors import StartupError
from paddock.inference.deployment import Deployment
from paddock.inference.routing import Directory, Routes
from paddock.services.serving import Served, ServedAdapter

log = logging.getLogger(__name__)


class Adapters:
    """
    Args:
        directory: each adapter is found in its project only.
        wake: called with the deployment of an adapter when a request begins to wait for an engine.
    """

    def __init__(self, directory: Directory, wake: Callable[[Deployment], None]) -> None:
        self._directory = directory
        self._wake = wake
        self._known: dict[str, Deployment] = {}
        self._routes: dict[str, Routes] = {}
        # By the adapter, then by the deployment that serves it, in the order in which these became known.
        self._bases: defaultdict[str, dict[str, tuple[Deployment, ServedAdapter]]] = defaultdict(dict)

    def follow(self, base: Deployment, served: Served) -> None:
        """What the deployment serves is so now; it was described and has its replicas."""
        listed = {} if served.gone else {one.id: one for one in served.adapters}
        changed = set(listed)
        for identity, bases in self._bases.items():
            if base.id in bases and identity not in listed:
                del bases[base.id]
                changed.add(identity)
        for identity, adapter in listed.items():
            self._bases[identity][base.id] = (base, adapter)
        for identity in changed:
            self._settle(identity)

    def free(self, routes: Routes, name: str) -> bool:
        """Takes the name from the adapter that bears it there, which is found by its id only from now on.
        False if none does.
        """
        for identity, adapted in self._known.items():
            if self._routes[identity] is routes and adapted.name == name:
                log.warning("the adapter %s is found by its id only: %r is a deployment", identity, name)
                routes.remove(adapted)
                routes.add_hidden(adapted)
                return True
        return False

    def _settle(self, identity: str) -> None:
        """Gives the adapter the deployment that serves it best."""
        bases = list(self._bases[identity].values())
        if not bases:
            del self._bases[identity]
            if (gone := self._known.pop(identity, None)) is not None:
                self._routes.pop(identity).remove(gone)
                _move(gone, None)
                gone.problem, gone.wakes = "it was deleted", False
                gone.set_replicas([])
            return
        base, adapter = min(bases, key=lambda one: (one[0].stopped, not one[0].replicas))
        adapted = self._known.get(identity) or self._new(base, adapter)
        _move(adapted, base)
        _describe(adapted, base)
        adapted.set_replicas([one for one in base.replicas if identity in one.adapters])

    def _new(self, base: Deployment, adapter: ServedAdapter) -> Deployment:
        adapted = Deployment(
            adapter.name,
            base.engine,
            base.engine_model,
            id=adapter.id,
            adapter=adapter.id,
            project=adapter.project,
            created=int(adapter.created_at),
        )

        def wake() -> None:
            if adapted.base is not None:
                self._wake(adapted.base)

        adapted.on_wait = wake
        self._known[adapter.id] = adapted
        routes = self._routes[adapter.id] = self._directory.of(adapter.project)
        try:
            routes.add(adapted)
        except StartupError as error:
            # Somebody named a deployment so while it was learned: that one keeps the name.
            log.warning("the adapter %s is found by its id only: %s", adapter.id, error.message)
            routes.add_hidden(adapted)
        return adapted


def _move(adapted: Deployment, base: Deployment | None) -> None:
    """From here on this deployment serves it, or none does."""
    if adapted.base is not base:
        if adapted.base is not None:
            adapted.base.adapted.remove(adapted)
        if base is not None:
            base.adapted.append(adapted)
        adapted.base = base


def _describe(adapted: Deployment, base: Deployment) -> None:
    """All that an adapter shares with the deployment that serves it."""
    adapted.engine_model = base.engine_model
    adapted.context_length, adapted.tools = base.context_length, base.tools
    adapted.generates, adapted.vocabulary = base.generates, base.vocabulary
    adapted.sampling, adapted.slots, adapted.pace = base.sampling, base.slots, base.pace
    adapted.patience, adapted.most_waiting = base.patience, base.most_waiting
    adapted.stopped, adapted.asleep, adapted.problem = base.stopped, base.asleep, base.problem
    # An engine that has it is on its way as long as the deployment is to serve at all.
    adapted.wakes = base.wakes
