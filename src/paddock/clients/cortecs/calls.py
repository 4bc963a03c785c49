"""What each method of the client asks of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from paddock.clients.cortecs.error import BadRequest
from paddock.clients.transport import Call
from paddock.schemas.cortecs import (
    HardwareType,
    HardwareTypesResponse,
    Instance,
    InstanceArgs,
    InstanceIdResponse,
    InstanceIdsResponse,
    InstanceResponse,
    InstancesResponse,
    Model,
    ModelPreview,
    ModelResponse,
    ModelsResponse,
    TokenResponse,
)

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


def token(client_id: str | None, client_secret: str | None) -> Call[TokenResponse]:
    body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    return Call("POST", "oauth2/token", TokenResponse.model_validate, body=body, repeatable=True)


def start(args: InstanceArgs, labels: Mapping[str, str] | None) -> Call[Instance]:
    body = args.model_dump(exclude_none=True) | ({"labels": dict(labels)} if labels else {})
    return Call("POST", "instances/start", _instance, body=body)


def restart(instance_id: str) -> Call[Instance]:
    return Call("POST", "instances/restart", _instance, body={"instance_id": _id(instance_id)})


def stop(instance_id: str) -> Call[Instance]:
    return Call("POST", "instances/stop", _instance, body={"instance_id": _id(instance_id)})


def stop_all() -> Call[list[str]]:
    return Call("POST", "instances/stop-all", _instance_ids)


def get_instance(instance_id: str) -> Call[Instance]:
    return Call("GET", _instance_path(instance_id), _instance, repeatable=True)


def get_all_instances() -> Call[list[Instance]]:
    return Call("GET", "instances/", _of(InstancesResponse, lambda answer: answer.instances), repeatable=True)


def delete(instance_id: str) -> Call[str]:
    parse = _of(InstanceIdResponse, lambda answer: answer.instance_id)
    return Call("DELETE", _instance_path(instance_id), parse)


def delete_all(force: bool) -> Call[list[str]]:
    params = {"force_deletion": "true" if force else "false"}
    return Call("DELETE", "instances/delete-all", _instance_ids, params=params)


def get_all_models() -> Call[list[ModelPreview]]:
    return Call("GET", "models/", _of(ModelsResponse, lambda answer: answer.models), repeatable=True)


def get_model(model_id: str) -> Call[Model]:
    path = f"models/{quote(model_id, safe='')}"
    return Call("GET", path, _of(ModelResponse, lambda answer: answer.model), repeatable=True)


def get_all_hardware_types() -> Call[list[HardwareType]]:
    return Call("GET", "hardware-types/", _hardware_types, repeatable=True)


def get_available_hardware_types() -> Call[list[HardwareType]]:
    return Call("GET", "hardware-types/available", _hardware_types, repeatable=True)


def _of(kind: type[Answer], take: Callable[[Answer], Result]) -> Callable[[Any], Result]:
    return lambda value: take(kind.model_validate(value))


_instance = _of(InstanceResponse, lambda answer: answer.instance)
_instance_ids = _of(InstanceIdsResponse, lambda answer: answer.instance_ids)
_hardware_types = _of(HardwareTypesResponse, lambda answer: answer.hardware_types)


def _instance_path(instance_id: str) -> str:
    return f"instances/{quote(_id(instance_id), safe='')}"


def _id(instance_id: str) -> str:
    # As a path these mean something else: every instance, or the folder above.
    if not isinstance(instance_id, str) or instance_id in ("", ".", "..", "delete-all"):
        raise BadRequest(f"instance_id must be the id of an instance, not {instance_id!r}")
    return instance_id
