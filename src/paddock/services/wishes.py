"""From what a caller asked for to a whole wish: everything that was left open is chosen and checked here."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from paddock.errors import InvalidRequest, StartupError, UnsupportedParameter
from paddock.schemas.hardware import HardwareType, Node
from paddock.schemas.own import NAME, CreateDeployment
from paddock.services import tuned_models
from paddock.services.hardware import claim, hardware_types, never_fits, recommend
from paddock.services.platform import Platform, nodes
from paddock.weights.facts import ModelFacts
from paddock.weights.needs import choose_slots, choose_threads, memory_needed

ENGINES = ("llama.cpp",)
DEFAULT_CONTEXT = 8192
_NAME = re.compile(NAME)
_ID = re.compile(r"dep-[0-9a-f]{16}")


@dataclass(frozen=True)
class Wish:
    """What one generation of a deployment is: the columns of its row of the same names.

    Attributes:
        source: what the node that runs it resolves the weights from.
        memory: bytes that one replica needs.
        facts: of the model, for the gateway, until an engine tells more.
    """

    model: str
    source: str
    engine: str
    hardware_type: str
    context_length: int
    min_workers: int
    max_workers: int
    per_worker: int
    idle_timeout: float
    memory: int
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def known_here(session: Session, project: str) -> tuple[list[Node], list[ModelFacts]]:
    """(the machines, the project's own models): what `plan_wish` and offers look at."""
    return nodes(session), tuned_models.known(session, project)


def plan_wish(
    platform: Platform, nodes: Sequence[Node], asked: CreateDeployment, tuned: Sequence[ModelFacts] = ()
) -> Wish:
    """May block while the hub is asked.

    Args:
        tuned: the project's own models: see `tuned_models.known`.

    Raises:
        ModelNotFound: there is no such model.
        InvalidRequest: a field does not fit the model, the hardware or another field; `param` names it.
        UnsupportedParameter: this installation cannot do it.
    """
    settings = platform.settings
    facts = facts_of(platform, asked.model, tuned)
    most = _workers(asked)
    length = _context(asked.context_length, facts, settings.context_length or DEFAULT_CONTEXT)
    types = hardware_types(nodes, platform.hardware)
    slots, memory = _size(platform, facts, length, asked.slots, _memory(asked.hardware_type, types))
    hardware_type = _hardware(platform, asked.hardware_type, types, facts, memory)
    impossible = never_fits(claim(types[hardware_type], memory), nodes, platform.hardware)
    if impossible:
        raise InvalidRequest(f"model {facts.name} {impossible}", param="hardware_type", code="does_not_fit")
    options = {
        "slots": slots,
        "threads": asked.threads or settings.threads,
        "weights_type": asked.quantize or settings.weights_type,
        "embeddings": settings.embeddings if asked.embeddings is None else asked.embeddings,
    }
    return Wish(
        model=facts.name,
        source=facts.source,
        engine=_engine(asked.engine or settings.engine),
        hardware_type=hardware_type,
        context_length=length,
        min_workers=asked.min_workers,
        max_workers=most,
        per_worker=asked.per_worker or slots,
        idle_timeout=settings.idle_timeout if asked.idle_timeout is None else asked.idle_timeout,
        memory=memory,
        options=options,
        facts={
            "generates": facts.generates,
            "embeds": facts.embeds or bool(options["embeddings"]),
            "slots": slots,
            "parent": facts.parent,
        },
    )


def facts_of(platform: Platform, model: str, tuned: Sequence[ModelFacts] = ()) -> ModelFacts:
    """What is known of the model that a caller means; of one that cannot be read only its name. May block.

    Args:
        tuned: the project's own models.

    Raises:
        ModelNotFound, InvalidRequest: as `Catalogue.find`.
    """
    try:
        return platform.catalogue.find(model, platform.allowed, tuned)
    except StartupError:
        # The engine will say why, and the deployment keeps it.
        name = Path(model).stem or model
        return ModelFacts(name, model, "gguf", 0, 0, 0, 0, True, False, "", "", name)


def recommended(platform: Platform, nodes: Sequence[Node], facts: ModelFacts, length: int) -> str:
    """The hardware type on which the model runs with so much context when none is asked for.

    Raises:
        InvalidRequest: none is large enough.
    """
    types = hardware_types(nodes, platform.hardware)
    _, memory = _size(platform, facts, length, None, _memory(None, types))
    return _hardware(platform, None, types, facts, memory)


def largest_context(
    platform: Platform, nodes: Sequence[Node], facts: ModelFacts, kind: HardwareType, most: int
) -> int:
    """Tokens of the longest context, up to `most`, with which the model fits on this hardware type; 0 if it
    does not fit at all.
    """
    if kind.gpus and not _uses_gpus(platform):
        return 0

    def is_too_long(length: int) -> bool:
        _, memory = _size(platform, facts, length, None, kind.memory)
        return never_fits(claim(kind, memory), nodes, platform.hardware) is not None

    return bisect.bisect_left(range(1, most + 1), True, key=is_too_long)


def check_name(name: str) -> str:
    """
    Raises:
        InvalidRequest: it is none.
    """
    if not _NAME.fullmatch(name) or "//" in name or ".." in name:
        raise InvalidRequest(
            f"name must be 1 to 128 letters, digits and . _ - / : @, beginning and ending with a letter or"
            f" digit, not {name[:140]!r}",
            param="name",
        )
    if _ID.fullmatch(name):
        raise InvalidRequest(f"name {name!r} looks like a deployment's id; choose another", param="name")
    return name


def _workers(asked: CreateDeployment) -> int:
    most = max(1, asked.min_workers) if asked.max_workers is None else asked.max_workers
    if asked.min_workers > most:
        raise InvalidRequest(
            f"min_workers must be at most max_workers, and {asked.min_workers} is more than {most}",
            param="min_workers",
        )
    return most


def _context(asked: int | None, facts: ModelFacts, default: int) -> int:
    if asked is not None and facts.context_length and asked > facts.context_length:
        raise InvalidRequest(
            f"a context of {asked} tokens is longer than the {facts.context_length} that"
            f" {facts.name} was made for",
            param="context_length",
        )
    # Of a model that nobody has fetched yet the engine finds out.
    return asked or min(default, facts.context_length)


def _memory(asked: str | None, types: dict[str, HardwareType]) -> int:
    """Of the hardware that it will run on, as far as that is known yet."""
    chosen = types.get(asked or "")
    return chosen.memory if chosen else max((one.memory for one in types.values()), default=0)


def _size(
    platform: Platform, facts: ModelFacts, length: int, slots: int | None, memory: int
) -> tuple[int, int]:
    """(slots, bytes that an engine with them needs) where there are so many bytes of `memory`."""
    slots = slots or platform.settings.slots
    if not slots:
        slots = choose_slots(facts.cache_bytes, length, memory)
        # What suits the cache may be too much beside the weights.
        while slots > 1 and memory_needed(facts, length, slots) > memory:
            slots -= 1
    return slots, memory_needed(facts, length, slots)


def _uses_gpus(platform: Platform) -> bool:
    # The bundled llama.cpp is built for CPUs.
    return platform.settings.llama_server is not None


def _hardware(
    platform: Platform, asked: str | None, types: dict[str, HardwareType], facts: ModelFacts, memory: int
) -> str:
    known = ", ".join(types) or "none"
    gpus = _uses_gpus(platform)
    if asked is None:
        most = max((one.cores for one in types.values()), default=1)
        suitable = [one for one in types.values() if gpus or not one.gpus]
        threads = choose_threads(facts.size, most)
        found = recommend(suitable, memory=memory, threads=threads, use_gpus=gpus)
        if found is None:
            raise InvalidRequest(
                f"no hardware here is large enough for {facts.name}, which needs {memory / 2**30:.1f} GiB;"
                f" there is: {known}",
                param="hardware_type",
                code="does_not_fit",
            )
        return found
    if asked not in types:
        raise InvalidRequest(
            f"hardware_type {asked!r} is not offered here; offered are {known}", param="hardware_type"
        )
    if types[asked].gpus and not gpus:
        raise UnsupportedParameter(
            f"hardware_type {asked} has GPUs, and the bundled llama.cpp uses none: set llama_server to one"
            " that was built with CUDA, or choose a CPU type",
            param="hardware_type",
        )
    return asked


def _engine(asked: str) -> str:
    if asked == "auto":
        return ENGINES[0]
    if asked == "vllm":
        raise UnsupportedParameter("engine vllm is not part of this installation", param="engine")
    if asked not in ENGINES:
        raise InvalidRequest(f"engine must be one of {', '.join(ENGINES)}, not {asked!r}", param="engine")
    return asked
