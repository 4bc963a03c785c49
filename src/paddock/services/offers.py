"""What may be started of a model here: on which hardware, and with how much context on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddock.errors import InvalidRequest
from paddock.schemas.hardware import Node
from paddock.services.hardware import hardware_types
from paddock.services.platform import Platform
from paddock.services.wishes import facts_of, largest_context, recommended
from paddock.weights.facts import ModelFacts
from paddock.weights.needs import memory_needed
from paddock.weights.resolve import HUB


@dataclass(frozen=True)
class Offer:
    """
    Attributes:
        name: the model's full name.
        here: whether its weights are on this machine.
        own_context: tokens that it was made for; 0 if not known.
        parameters: their number; 0 if not known.
        recommended: the hardware type that is taken when none is asked for; None if it fits on none.
        contexts: the most tokens of context on each hardware type on which it fits, by the type's id.
        memory: bytes that it needs with the usual context, or with the most that the recommended type has
            room for, and one request at a time.
    """

    name: str
    here: bool
    own_context: int
    parameters: int
    creator: str
    description: str
    screen_name: str
    recommended: str | None
    contexts: Mapping[str, int]
    memory: int


def offer(
    platform: Platform, nodes: Sequence[Node], model: str, usual: int, tuned: Sequence[ModelFacts] = ()
) -> Offer:
    """What may be started of the model that a caller means. May block while the hub is asked.

    Args:
        usual: tokens of context that it gets when none are asked for, if it has as many.
        tuned: the project's own models: see `tuned_models.known`.

    Raises:
        ModelNotFound, InvalidRequest: as `Catalogue.find`.
    """
    return _offer(platform, nodes, facts_of(platform, model, tuned), usual)


def offers(
    platform: Platform, nodes: Sequence[Node], usual: int, tuned: Sequence[ModelFacts] = ()
) -> list[Offer]:
    """What may be started of every known model, sorted by name. Reads files."""
    return [_offer(platform, nodes, facts, usual) for facts in platform.catalogue.all(tuned)]


def _offer(platform: Platform, nodes: Sequence[Node], facts: ModelFacts, usual: int) -> Offer:
    most = facts.context_length or usual
    contexts = {
        kind.id: length
        for kind in hardware_types(nodes, platform.hardware).values()
        if (length := largest_context(platform, nodes, facts, kind, most))
    }
    length = min(usual, most)
    chosen = _recommended(platform, nodes, facts, length, contexts)
    return Offer(
        name=facts.name,
        # The files of a model that is still on the hub only are not known.
        here=not facts.source.startswith(HUB) or facts.context_length > 0,
        own_context=facts.context_length,
        parameters=facts.parameters,
        creator=facts.creator,
        description=facts.description,
        screen_name=facts.screen_name,
        recommended=chosen,
        contexts=contexts,
        memory=memory_needed(facts, min(length, contexts.get(chosen or "", length)), 1),
    )


def _recommended(
    platform: Platform,
    nodes: Sequence[Node],
    facts: ModelFacts,
    length: int,
    contexts: Mapping[str, int],
) -> str | None:
    try:
        found = recommended(platform, nodes, facts, length)
    except InvalidRequest:
        found = ""
    if contexts.get(found, 0) >= length:
        return found
    # None has room for that much: then the one with the most.
    return max(contexts, key=lambda kind: contexts[kind], default=None)
