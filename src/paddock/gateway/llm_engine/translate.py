"""From what an endpoint's owner asks for to a wish for a deployment; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.errors import UnsupportedParameter
from paddock.gateway.llm_engine.engine_fields import refuse_engine_fields, weights_type
from paddock.gateway.llm_engine.hardware import RESOURCES, choose, read_bytes, read_resources
from paddock.gateway.llm_engine.hooks import CALLBACK, callback, check_hooks
from paddock.schemas.hardware import HardwareType
from paddock.schemas.own import CreateDeployment, Deployment, UpdateDeployment

JSON = dict[str, Any]
DETAILS = "llm_engine"
"""Where a deployment keeps what this dialect's callers asked for: `asked`, and the `hardware_type` meant."""
_SAME = ("min_workers", "max_workers", "per_worker", "labels")
_RENAMED = {"context_length": "max_model_len", "slots": "max_num_seqs"}
_QUANTIZE = ("quantize", "quantization", "dtype")
_ELSEWHERE = frozenset({"name", "force_bundle_recreation", *_SAME})
"""Kept by the deployment itself, or not at all."""


def names(given: Mapping[str, Any]) -> dict[str, str]:
    """This dialect's names of the fields that something can be wrong with, by ours."""
    return {
        **_RENAMED,
        "model": "checkpoint_path" if "checkpoint_path" in given else "model_name",
        "engine": "inference_framework",
        "hardware_type": next((name for name in RESOURCES if name in given), ""),
    }


def asked_before(deployment: Deployment) -> JSON:
    """What was asked for in this dialect; nothing of a deployment that another one made."""
    asked: JSON = deployment.details.get(DETAILS, {}).get("asked", {})
    return asked


def create_wish(given: JSON, types: Mapping[str, HardwareType]) -> CreateDeployment:
    """
    Raises:
        InvalidRequest: a field's value cannot be.
        UnsupportedParameter: it cannot be honoured.
    """
    _refuse(given)
    return CreateDeployment(
        name=given["name"],
        model=given.get("checkpoint_path") or given["model_name"],
        hardware_type=_hardware_type(given, types),
        quantize=weights_type(given),  # type: ignore[arg-type]  # it gives only what this takes
        **_plain(given),
    )


def update_wish(given: JSON, before: JSON, types: Mapping[str, HardwareType]) -> UpdateDeployment:
    """Only what changes. At most 0 workers, which is a stop, is left to the caller.

    Args:
        before: what was asked for until now.

    Raises:
        InvalidRequest, UnsupportedParameter: as `create_wish`.
    """
    _refuse(given)
    if given.get("force_bundle_recreation"):
        raise UnsupportedParameter(
            "force_bundle_recreation cannot be honoured: workers are replaced when what they run changes;"
            " to restart them, set max_workers to 0 and back",
            param="force_bundle_recreation",
        )
    changes = _plain(given)
    if not changes.get("max_workers", 1):
        del changes["max_workers"]
        changes.pop("min_workers", None)
    if any(name in given for name in (*RESOURCES, "num_shards", "tensor_parallel_size")):
        chosen = _hardware_type({**before, **given}, types)
        changes |= {"hardware_type": chosen} if chosen else {}
    if any(name in given for name in _QUANTIZE):
        changes["quantize"] = weights_type(given)
    if "checkpoint_path" in given:
        changes["model"] = given["checkpoint_path"]
    elif given.get("model_name", before.get("model_name")) != before.get("model_name"):
        changes["model"] = given["model_name"]
    return UpdateDeployment(**changes)


def details(given: JSON, hardware_type: str | None) -> JSON:
    """What is kept of a new endpoint.

    Raises:
        InvalidRequest: its hooks lack something.
    """
    asked = {name: value for name, value in given.items() if name not in _ELSEWHERE}
    return {DETAILS: {"asked": asked, "hardware_type": hardware_type}, CALLBACK: callback(asked)}


def new_details(given: JSON, before: Deployment, wish: UpdateDeployment) -> JSON:
    """What is kept of a changed endpoint.

    Raises:
        InvalidRequest: as `details`.
    """
    asked = {**asked_before(before), **given}
    asked = {name: value for name, value in asked.items() if name not in _ELSEWHERE}
    if not given.get("metadata"):
        # The published client sends {} with every update, and its user cannot give another.
        asked["metadata"] = asked_before(before).get("metadata", {})
    if wish.model is not None and "checkpoint_path" not in given:
        asked.pop("checkpoint_path", None)
    kept = before.details.get(DETAILS, {}).get("hardware_type")
    chosen = wish.hardware_type or kept
    return {DETAILS: {"asked": asked, "hardware_type": chosen}, CALLBACK: callback(asked)}


def _plain(given: JSON) -> JSON:
    fields = {name: given[name] for name in _SAME if name in given}
    return fields | {ours: given[theirs] for ours, theirs in _RENAMED.items() if theirs in given}


def _hardware_type(given: JSON, types: Mapping[str, HardwareType]) -> str | None:
    shards = max(given.get("num_shards", 1), given.get("tensor_parallel_size", 1))
    return choose(read_resources({name: given[name] for name in RESOURCES if name in given}, shards), types)


def _refuse(given: JSON) -> None:
    refuse_engine_fields(given)
    if given.get("nodes_per_worker", 1) != 1:
        raise UnsupportedParameter(
            f"nodes_per_worker must be 1: a worker is one process on one machine, not"
            f" {given['nodes_per_worker']}",
            param="nodes_per_worker",
        )
    check_hooks(given)
    if "storage" in given:
        read_bytes(given["storage"], "storage")
