"""What a batch asks for, as a job and as a wish for replicas; pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.gateway.llm_engine.engine_fields import refuse_engine_fields, weights_type
from paddock.gateway.llm_engine.hardware import RESOURCES, choose, read_resources
from paddock.schemas.hardware import HardwareType
from paddock.services.batches.content import PROMPTS, Fault, Requests, check_fields, prompt_fault

JSON = dict[str, Any]
MODEL = "model_config.model"
_QUANTIZE = ("quantization", "dtype")
_RENAMED = (
    ("context_length", "max_context_length"),
    ("context_length", "max_model_len"),
    ("slots", "max_num_seqs"),
)
"""Fields of `CreateDeployment`, and those of `model_config` that say the same, the older one first."""


@dataclass(frozen=True)
class Wished:
    """
    Attributes:
        fields: of `CreateDeployment`.
        names: what these are called in the body.
        apart: whether they say more than which model.
    """

    fields: JSON
    names: Mapping[str, str]
    apart: bool


def wished(given: JSON, config: JSON, types: Mapping[str, HardwareType]) -> Wished:
    """What the model is brought up with if it must be brought up.

    Args:
        given: the body's fields that were given.
        config: those of its `model_config`.

    Raises:
        InvalidRequest, UnsupportedParameter: a field's value cannot be, or cannot be honoured.
    """
    _refuse(given, config)
    more: JSON = {}
    names = {"model": MODEL, "min_workers": "data_parallelism"}
    for name, theirs in _RENAMED:
        if name not in more and config.get(theirs) is not None:
            more[name], names[name] = config[theirs], f"model_config.{theirs}"
    if (kind := weights_type({name: config[name] for name in _QUANTIZE if name in config})) is not None:
        more["quantize"] = kind
    shards = max(config.get("num_shards", 1), config.get("tensor_parallel_size", 1))
    asked = {name: given[name] for name in RESOURCES if name in given}
    hardware = choose(read_resources(asked, shards), types) if asked or shards > 1 else None
    if hardware is not None:
        more["hardware_type"] = hardware
    if "checkpoint_path" in config:
        more["model"], names["model"] = config["checkpoint_path"], "model_config.checkpoint_path"
    return Wished({"model": config["model"], **more}, names, bool(more))


def check_content(content: Any, *, takes_requests: bool) -> None:
    """
    Args:
        takes_requests: whether it may be a list of requests, as in the second version.

    Raises:
        InvalidRequest: it is none; says where.
    """
    faults: list[Fault | None]
    if isinstance(content, list) and takes_requests:
        requests = Requests()
        faults = [requests.fault(number, row) for number, row in enumerate(content)]
        rows: list[Any] = content
    elif isinstance(content, dict):
        if not isinstance(content.get(PROMPTS), list):
            raise InvalidRequest(f"content.{PROMPTS} must be a list of strings", param=f"content.{PROMPTS}")
        rows = content[PROMPTS]
        _, wrong = check_fields({name: value for name, value in content.items() if name != PROMPTS})
        faults = [*wrong, *(prompt_fault(number, row) for number, row in enumerate(rows))]
    else:
        right = "an object with prompts" + (", or a list of requests" if takes_requests else "")
        raise InvalidRequest(f"content must be {right}", param="content")
    if not rows:
        raise InvalidRequest("content must not be empty: it has nothing to answer", param="content")
    for fault in faults:
        if fault is not None:
            param = f"content.{fault.param}" if fault.param else "content"
            raise InvalidRequest(f"content: {fault.message}", param=param, code=fault.code)


def refuse_unknown(
    body: BaseModel, within: str = "", beside: Collection[str] = (), of: str = "batches"
) -> None:
    """
    Args:
        of: what is asked for, for a person.
        within: what stands before the names of its fields.
        beside: fields that are taken though its type does not name them.

    Raises:
        UnsupportedParameter: it has a field that nobody knows.
    """
    known = [spec.alias or name for name, spec in type(body).model_fields.items()]
    for name in body.model_extra or ():
        if name in beside:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
        full = f"{within}{name[:100]}"
        raise UnsupportedParameter(f"{full!r} is not a field of {of}{hint}", param=full)


def _refuse(given: JSON, config: JSON) -> None:
    refuse_engine_fields({name: value for name, value in config.items() if name != "seed"})
    if "tool_config" in given:
        raise UnsupportedParameter(
            "tool_config cannot be honoured: no code is run on what a model says; leave it out",
            param="tool_config",
        )
    if given.get("nodes_per_worker", 1) != 1:
        raise UnsupportedParameter(
            "nodes_per_worker must be 1: a worker is one process on one machine", param="nodes_per_worker"
        )
