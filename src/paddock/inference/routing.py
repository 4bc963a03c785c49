"""Which deployment a request's `model` means, and which replica of it takes the request."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from paddock.errors import InvalidRequest, ModelNotFound, StartupError, Unavailable
from paddock.inference.pace import Pace
from paddock.inference.upstream import Upstream


@dataclass(slots=True, eq=False)
class Replica:
    """One engine that can take requests now.

    Attributes:
        in_flight: requests that it works on; `begin` and `end` count them.
    """

    upstream: Upstream
    in_flight: int = 0
    _busy: float = 0.0
    _since: float = 0.0

    def begin(self) -> None:
        self._busy, self._since = self.busy(), time.perf_counter()
        self.in_flight += 1

    def end(self) -> None:
        self._busy, self._since = self.busy(), time.perf_counter()
        self.in_flight -= 1

    def busy(self) -> float:
        """Seconds of all requests so far, added up; what two of them share counts twice."""
        return self._busy + self.in_flight * (time.perf_counter() - self._since)


@dataclass(slots=True, eq=False)
class Deployment:
    """What the gateway knows of a served model.

    Attributes:
        name: what callers call it.
        engine: `llama.cpp`, or `attached` for a server that somebody else runs.
        engine_model: what the engine calls the model.
        context_length: tokens of prompt and answer together; 0 if not known.
        embeds: whether it answers /embeddings.
        tools: whether its chat template renders tools.
        vocabulary: number of token ids; 0 if not known.
        sampling: the model's own defaults, as its generation_config.json gives them.
        pace: how fast its replicas answer.
        problem: why it has no replica, for a person.
    """

    name: str
    engine: str
    engine_model: str
    context_length: int = 0
    generates: bool = True
    embeds: bool = False
    tools: bool = True
    vocabulary: int = 0
    sampling: dict[str, float] = field(default_factory=dict)
    owned_by: str = "paddock"
    created: int = field(default_factory=lambda: int(time.time()))
    replicas: list[Replica] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    problem: str = "it is still starting"

    def busy(self) -> float:
        """What `Replica.busy` says, in the mean of the replicas."""
        return sum([replica.busy() for replica in self.replicas]) / max(1, len(self.replicas))

    def longest(self, tokens: int) -> float:
        """Seconds for an answer of so many tokens at the most; inf if it had to wait, or is not known."""
        if any(replica.in_flight < self.pace.slots for replica in self.replicas):
            return self.pace.longest(tokens)
        return math.inf

    def pick(self) -> Replica:
        """The replica with the fewest requests in flight.

        Raises:
            Unavailable: no replica is ready.
        """
        replicas = self.replicas
        if len(replicas) == 1:
            return replicas[0]
        if not replicas:
            raise Unavailable(f"model {self.name!r} has no engine ready: {self.problem}", retry_after=1)
        return min(replicas, key=lambda replica: replica.in_flight)


class Routes:
    """The served models by every name that callers use for them."""

    def __init__(self, deployments: Iterable[Deployment] = ()) -> None:
        self._by_name = {deployment.name: deployment for deployment in deployments}

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

    def all(self) -> list[Deployment]:
        return list(self._by_name.values())

    def resolve(self, model: str) -> Deployment:
        """The deployment that `model` means: its name, or its last segment if only one bears it.

        Raises:
            ModelNotFound: nothing is called so; the message lists what is served.
            InvalidRequest: several are.
        """
        exact = self._by_name.get(model)
        if exact is not None:
            return exact
        last = _last_segment(model)
        found = [one for one in self._by_name.values() if last and _last_segment(one.name) == last]
        # `other-org/foal` is another model, not a short name of `paddock/foal`.
        if len(found) == 1 and _is_short(model):
            return found[0]
        if len(found) > 1 and _is_short(model):
            names = ", ".join(sorted(one.name for one in found))
            raise InvalidRequest(
                f"model {model!r} is ambiguous; use one of {names}", param="model", code="model_ambiguous"
            )
        served = ", ".join(sorted(self._by_name)) or "none"
        raise ModelNotFound(f"model {model!r} is not served here; served models: {served}", param="model")


def _last_segment(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _is_short(model: str) -> bool:
    return "/" not in model or (model.startswith("accounts/") and "/models/" in model)
