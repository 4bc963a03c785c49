"""The Cortecs dialect at `/cortecs/api/v1`: envelopes around `verbs`."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from paddock.errors import InvalidRequest
from paddock.gateway.address import server_address
from paddock.gateway.app import PUBLIC, Mount, Route
from paddock.gateway.cortecs import models, tokens, verbs
from paddock.gateway.cortecs.errors import error_body, own_fields
from paddock.gateway.cortecs.hardware import hardware_type
from paddock.gateway.cortecs.instances import instance
from paddock.gateway.guard import shown
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.keyring import Keyring
from paddock.gateway.validate import parse_whole
from paddock.schemas.cortecs import (
    DEFAULT_CONTEXT_LENGTH,
    HardwareTypesResponse,
    InstanceIdRequest,
    InstanceIdResponse,
    InstanceIdsResponse,
    InstanceResponse,
    InstancesResponse,
    ModelResponse,
    ModelsResponse,
    StartInstanceRequest,
)
from paddock.schemas.own import Deployment
from paddock.services.hardware import available, hardware_types
from paddock.services.offers import offer, offers
from paddock.services.platform import Platform, in_thread, nodes
from paddock.services.replicas import placements
from paddock.services.wishes import known_here

Body = TypeVar("Body", bound=BaseModel)

_START: TypeAdapter[StartInstanceRequest] = TypeAdapter(StartInstanceRequest)
_ID: TypeAdapter[InstanceIdRequest] = TypeAdapter(InstanceIdRequest)
_FORCE = {"force_deletion": "true deletes instances that run, too; false (the default) only stopped ones."}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_NO_STORE = b"cache-control: no-store\r\n"


def mount(platform: Platform, keyring: Keyring) -> Mount:
    """Every route; those of models and hardware types are for callers without a token, too."""
    return Mount(
        "/cortecs/api/v1",
        "Cortecs",
        error_body,
        [_token(keyring), *_models(platform), *_hardware(platform), *_instances(platform), *_all(platform)],
    )


def _token(keyring: Keyring) -> Route:
    async def token(request: Request) -> Response:
        issued = tokens.issue(keyring, request.headers, request.body)
        return Response(issued.model_dump_json().encode(), headers=_NO_STORE)

    example = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "secret"}
    return Route(
        "POST",
        "/oauth2/token",
        token,
        "A token for client credentials: a key's id and its secret.",
        PUBLIC,
        body=tokens.TOKEN_REQUEST,
        example=example,
    )


def _models(platform: Platform) -> list[Route]:
    async def list_models(request: Request) -> Response:
        known, tuned = await platform.store.read(lambda session: known_here(session, request.project))
        found = await in_thread(lambda: offers(platform, known, DEFAULT_CONTEXT_LENGTH, tuned))
        return _answer(ModelsResponse(models=[models.preview(one) for one in found]))

    async def get_model(request: Request) -> Response:
        known, tuned = await platform.store.read(lambda session: known_here(session, request.project))
        name = models.named(request.params["model_id"])
        with own_fields():
            found = await in_thread(lambda: offer(platform, known, name, DEFAULT_CONTEXT_LENGTH, tuned))
        return _answer(ModelResponse(model=models.model(found)))

    return [
        Route("GET", "/models", list_models, "The models of which instances can be started.", PUBLIC),
        Route(
            "GET",
            "/models/{model_id}",
            get_model,
            "One model, by its id or its name, with the hardware that it fits.",
            PUBLIC,
        ),
    ]


def _hardware(platform: Platform) -> list[Route]:
    async def list_types(request: Request) -> Response:
        types = await platform.types()
        return _answer(HardwareTypesResponse(hardware_types=[hardware_type(one) for one in types.values()]))

    async def list_available(request: Request) -> Response:
        known, held = await platform.store.read(
            lambda session: (nodes(session), list(placements(session).values()))
        )
        types = hardware_types(known, platform.hardware).values()
        free = available(types, known, held, platform.hardware)
        return _answer(HardwareTypesResponse(hardware_types=[hardware_type(one) for one in free]))

    return [
        Route("GET", "/hardware-types", list_types, "The hardware types, with their prices.", PUBLIC),
        Route("GET", "/hardware-types/available", list_available, "Those of them that are free now.", PUBLIC),
    ]


def _instances(platform: Platform) -> list[Route]:
    def show(request: Request, deployment: Deployment) -> Response:
        seen = shown(request.key, deployment)
        return _answer(InstanceResponse(instance=instance(seen, _address(platform, request))))

    async def start(request: Request) -> Response:
        return show(request, await verbs.start(platform, request.key, _parse(_START, request)))

    async def restart(request: Request) -> Response:
        return show(request, await verbs.restart(platform, request.key, _parse(_ID, request).instance_id))

    async def stop(request: Request) -> Response:
        return show(request, await verbs.stop(platform, request.key, _parse(_ID, request).instance_id))

    async def get(request: Request) -> Response:
        return show(request, await verbs.find(platform, request.project, request.params["instance_id"]))

    async def delete(request: Request) -> Response:
        instance_id = request.params["instance_id"]
        await verbs.delete(platform, request.key, instance_id)
        return _answer(InstanceIdResponse(instance_id=instance_id))

    return [
        Route(
            "POST",
            "/instances/start",
            start,
            "Start an instance.",
            body=_START,
            example={"model_id": "paddock--foal"},
        ),
        Route("POST", "/instances/restart", restart, "Start a stopped instance again.", body=_ID),
        Route("POST", "/instances/stop", stop, "Stop an instance.", body=_ID),
        Route("GET", "/instances/{instance_id}", get, "One instance."),
        Route("DELETE", "/instances/{instance_id}", delete, "Delete a stopped instance."),
    ]


def _all(platform: Platform) -> list[Route]:
    async def list_all(request: Request) -> Response:
        every, address = await verbs.list_all(platform, request.project), _address(platform, request)
        found = [shown(request.key, one) for one in every]
        # Ten thousand of them would keep everybody else waiting.
        return await in_thread(
            lambda: _answer(InstancesResponse(instances=[instance(one, address) for one in found]))
        )

    async def stop_all(request: Request) -> Response:
        return _answer(InstanceIdsResponse(instance_ids=await verbs.stop_all(platform, request.key)))

    async def delete_all(request: Request) -> Response:
        force = _flag("force_deletion", query_values(request, _FORCE).get("force_deletion", "false"))
        return _answer(
            InstanceIdsResponse(instance_ids=await verbs.delete_all(platform, request.key, force=force))
        )

    return [
        Route("GET", "/instances", list_all, "Every deployment, whichever dialect made it."),
        Route("POST", "/instances/stop-all", stop_all, "Stop all instances; has no body."),
        Route(
            "DELETE",
            "/instances/delete-all",
            delete_all,
            "Delete all stopped instances, or all there are.",
            query=_FORCE,
        ),
    ]


def _address(platform: Platform, request: Request) -> str:
    settings = platform.settings
    return server_address(settings.public_url, request.headers, settings.host, settings.port)


def _parse(adapter: TypeAdapter[Body], request: Request) -> Body:
    """The body; a field that nobody knows would have meant something to the caller, and is refused."""
    asked = parse_whole(adapter, request.body)
    for name in asked.model_extra or {}:
        known = ", ".join(type(asked).model_fields)
        raise InvalidRequest(
            f"{name[:80]} is not known here; known fields are: {known}", param=name[:80], code="unknown_field"
        )
    return asked


def _flag(name: str, value: str) -> bool:
    # The published clients write `True`, as Python does.
    if value.lower() not in _FLAGS:
        raise InvalidRequest(f"{name} must be true or false, not {value[:40]!r}", param=name)
    return _FLAGS[value.lower()]


def _answer(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json().encode())
