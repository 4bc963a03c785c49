"""The verbs on model endpoints, which are those on deployments in this dialect's words."""

from __future__ import annotations

import time
from typing import Any

import orjson

from paddock.errors import Conflict, InvalidRequest, ModelNotFound, NotFound
from paddock.gateway.guard import changeable, changeable_model, shown
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.llm_engine import adapters as fine_tuned
from paddock.gateway.llm_engine.bodies import read_create, read_update
from paddock.gateway.llm_engine.errors import own_fields
from paddock.gateway.llm_engine.hooks import CALLBACK, unmasked
from paddock.gateway.llm_engine.translate import (
    asked_before,
    create_wish,
    details,
    names,
    new_details,
    update_wish,
)
from paddock.gateway.llm_engine.views import endpoint, task_id
from paddock.gateway.visible import permit
from paddock.schemas.hardware import HardwareType
from paddock.schemas.own import Deployment
from paddock.services import adapters, commanded, deployments, gateways, tuned_deployments
from paddock.services.adapters import Adapter
from paddock.services.gateways import Gateways
from paddock.services.hardware import hardware_types
from paddock.services.keys import ADMIN, MANAGE
from paddock.services.platform import Platform, in_thread, nodes
from paddock.services.webhooks import hooks

JSON = dict[str, Any]
LISTED = {
    "name": "Only the endpoint of this name.",
    "order_by": "`oldest` (which is the default), `newest` or `alphabetical`.",
}


async def create(request: Request, platform: Platform) -> Response:
    """Answers POST model-endpoints.

    Raises:
        InvalidRequest: a field is wrong, or names something that is not there; the name is taken.
    """
    given = read_create(request.body)
    with own_fields(names(given)):
        wish = create_wish(given, await platform.types())
        kept = details(given, wish.hardware_type)
        await _check_callback(platform, kept, {})
        try:
            made = await deployments.create(
                platform,
                request.project,
                wish,
                details=kept,
                key_id=request.key.id,
            )
        except ModelNotFound as error:
            raise _not_found(error) from error
    return _answer({"endpoint_creation_task_id": task_id(made)})


async def get(request: Request, platform: Platform) -> Response:
    """Answers GET model-endpoints/{name}.

    Raises:
        NotFound: there is none.
    """
    name = request.params["name"]
    types, load = await _surroundings(platform)

    def show(one: Deployment) -> JSON:
        return _shown(request, one, types, load)

    try:
        return _answer(show(await deployments.get(platform, request.project, name)))
    except NotFound as error:
        public = await commanded.for_all(platform, request.project)
        try:
            adapter = await _adapter(request, platform, name, error)
        except NotFound:
            if found := [one for one in public if name in (one.name, one.id)]:
                return _answer(show(found[0]))
            raise
    every = [*(await deployments.list_page(platform, request.project)).deployments, *public]
    return _answer(fine_tuned.endpoint(adapter, fine_tuned.base_of(adapter, every), show))


async def list_all(request: Request, platform: Platform) -> Response:
    """Answers GET model-endpoints with every endpoint of the project, whichever dialect made it, and those
    for all; fine-tuned models are such too.
    """
    values = query_values(request, LISTED)
    every = (await deployments.list_page(platform, request.project)).deployments
    every += await commanded.for_all(platform, request.project)
    found: list[Deployment | Adapter] = [*every, *await adapters.list_all(platform, request.project)]
    found.sort(key=lambda one: one.created_at)
    if "name" in values:
        found = [one for one in found if one.name == values["name"]]
    order = values.get("order_by", "oldest")
    if order not in ("oldest", "newest", "alphabetical"):
        raise InvalidRequest(
            f"order_by must be oldest, newest or alphabetical, not {order[:40]!r}", param="order_by"
        )
    if order == "alphabetical":
        found.sort(key=lambda one: one.name)
    elif order == "newest":
        found.reverse()
    types, load = await _surroundings(platform)

    def show(one: Deployment) -> JSON:
        return _shown(request, one, types, load)

    def show_either(one: Deployment | Adapter) -> JSON:
        if isinstance(one, Deployment):
            return show(one)
        return fine_tuned.endpoint(one, fine_tuned.base_of(one, every), show)

    def render() -> Response:
        return _answer({"model_endpoints": [show_either(one) for one in found]})

    # Thousands of them must not hold up the requests that are relayed meanwhile.
    return await in_thread(render)


async def update(request: Request, platform: Platform) -> Response:
    """Answers PUT model-endpoints/{name}. At most 0 workers stops it; more start it again.

    Raises:
        NotFound: there is none.
        InvalidRequest: a field is wrong, or names something that is not there.
        Forbidden: it is for all, and the key is no admin's.
        Conflict: it is being deleted.
    """
    before = await changeable(platform, request, request.params["name"])
    given = unmasked(read_update(request.body, asked_before(before)), asked_before(before))
    with own_fields(names(given)):
        wish = update_wish(given, asked_before(before), await platform.types())
        if given.get("max_workers") == 0 and given.get("min_workers"):
            raise InvalidRequest(
                f"min_workers must be at most max_workers, and {given['min_workers']} is more than 0",
                param="min_workers",
            )
        kept = new_details(given, before, wish)
        await _check_callback(platform, kept, before.details)
        try:
            after = await deployments.update(
                platform, request.project, before.id, wish, details=kept, permit=permit(request.key)
            )
        except ModelNotFound as error:
            raise _not_found(error) from error
    if given.get("max_workers") == 0 and after.status != "stopped":
        after = await _stop(request, platform, after)
    return _answer({"endpoint_creation_task_id": task_id(after)})


async def delete(request: Request, platform: Platform) -> Response:
    """Answers DELETE model-endpoints/{name}. A fine-tuned model goes with the endpoint of its name.

    Raises:
        NotFound: there is none.
        Forbidden: it is for all, and the key is no admin's.
        Conflict: it is being deleted already, or something needs the model.
    """
    name = request.params["name"]
    try:
        if (model := await tuned_deployments.owner(platform, request.project, name)) is not None:
            await changeable_model(platform, request.key, model)
            await tuned_deployments.delete(platform, request.project, model.id)
        else:
            await deployments.delete(
                platform, request.project, (await changeable(platform, request, name)).id
            )
    except NotFound as error:
        await adapters.delete(platform, request.project, (await _adapter(request, platform, name, error)).id)
    return _answer({"deleted": True})


async def _check_callback(platform: Platform, kept: JSON, before: JSON) -> None:
    """Looks at a new address of a callback.

    Raises:
        InvalidRequest: it may not be called.
    """
    wanted = kept[CALLBACK]
    if wanted and wanted != before.get(CALLBACK):
        await hooks.check_url(platform, wanted["url"], "default_callback_url")


async def _adapter(request: Request, platform: Platform, name: str, error: NotFound) -> Adapter:
    """
    Args:
        error: raised if there is no such adapter either.
    """
    try:
        return await adapters.get(platform, request.project, name)
    except NotFound:
        raise error from None


async def _stop(request: Request, platform: Platform, deployment: Deployment) -> Deployment:
    try:
        return await deployments.stop(platform, request.project, deployment.id)
    except Conflict as error:
        if error.code != "already_stopped":
            raise
        return deployment


async def _surroundings(platform: Platform) -> tuple[dict[str, HardwareType], Gateways]:
    now = time.time()
    known, load = await platform.store.read(lambda session: (nodes(session), gateways.alive(session, now)))
    return hardware_types(known, platform.hardware), load


def _shown(request: Request, deployment: Deployment, types: dict[str, HardwareType], load: Gateways) -> JSON:
    key = request.key
    return endpoint(
        shown(key, deployment),
        types,
        _queued(deployment, load),
        own=deployment.project == key.project,
        manages=not key.scopes.isdisjoint((MANAGE, ADMIN)),
    )


def _queued(deployment: Deployment, load: Gateways) -> int:
    """Requests that are at a gateway and not yet at a worker."""
    sent = sum(load.in_flight(replica.id) for replica in deployment.replicas)
    return max(0, load.demand(deployment.id) - sent)


def _not_found(error: ModelNotFound) -> InvalidRequest:
    """The endpoint's address is right: what is not found is named in the body."""
    return InvalidRequest(error.message, param=error.param, code=error.code)


def _answer(body: JSON) -> Response:
    return Response(orjson.dumps(body))
