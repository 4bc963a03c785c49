"""What can be done with instances. Those that are being deleted are gone already to this dialect."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from paddock.errors import Conflict, InvalidRequest, NotFound
from paddock.gateway.cortecs.errors import own_fields
from paddock.gateway.cortecs.instances import DETAILS, state_of
from paddock.gateway.cortecs.models import named
from paddock.gateway.guard import may_change, require_change
from paddock.gateway.visible import permit
from paddock.schemas.cortecs import (
    DEFAULT_BILLING_INTERVAL,
    DEFAULT_CONTEXT_LENGTH,
    DEFAULT_NUM_WORKERS,
    StartInstanceRequest,
    to_model_id,
)
from paddock.schemas.own import CreateDeployment, Deployment
from paddock.services import deployments
from paddock.services.keys import Key
from paddock.services.offers import Offer, offer
from paddock.services.platform import Platform, in_thread
from paddock.services.wishes import known_here


async def start(platform: Platform, key: Key, asked: StartInstanceRequest) -> Deployment:
    """A new instance, with every argument that was left open resolved as the published clients do it.

    Raises:
        ModelNotFound: there is no such model.
        InvalidRequest: an argument cannot be; `param` names it.
    """
    known, tuned = await platform.store.read(lambda session: known_here(session, key.project))
    model = named(asked.model_id)
    with own_fields():
        found = await in_thread(lambda: offer(platform, known, model, DEFAULT_CONTEXT_LENGTH, tuned))
        hardware_type = asked.hardware_type_id or found.recommended
        workers = asked.num_workers or DEFAULT_NUM_WORKERS
        details = {
            "billing_interval": asked.billing_interval or DEFAULT_BILLING_INTERVAL,
            "model": found.name,
            "model_id": to_model_id(asked.model_id),
        }
        return await deployments.create(
            platform,
            key.project,
            CreateDeployment(
                model=model,
                hardware_type=hardware_type,
                context_length=context_for(found, hardware_type, asked.context_length),
                min_workers=workers,
                max_workers=workers,
                labels=asked.labels,
            ),
            details={DETAILS: details},
            named_by_id=True,
            key_id=key.id,
            permit=permit(key),
        )


def context_for(found: Offer, hardware_type: str | None, asked: int | None) -> int | None:
    """Tokens of context for an instance; None where the model does not run on that hardware at all.

    Raises:
        InvalidRequest: more was asked for than there can be.
    """
    most = found.contexts.get(hardware_type or "")
    if most is None or (asked is None and not found.own_context):
        return asked
    if asked is None:
        return min(DEFAULT_CONTEXT_LENGTH, most)
    if asked > most:
        others = [id for id, length in found.contexts.items() if length >= asked]
        hint = f"; there is room for that on {', '.join(others)}" if others else ""
        raise InvalidRequest(
            f"context_length must be at most {most} for {found.name} on {hardware_type}, not {asked}{hint}",
            param="context_length",
        )
    return asked


async def find(platform: Platform, project: str, instance_id: str) -> Deployment:
    """
    Raises:
        NotFound: no instance has this id.
    """
    try:
        found = await deployments.get(platform, project, instance_id)
    except NotFound:
        found = None
    # By its name a deployment is found too, and a name may look like another one's id.
    if found is None or found.id != instance_id or found.status == "deleting":
        raise NotFound(
            f"there is no instance {instance_id[:140]!r}; GET /instances/ lists those that there are",
            param="instance_id",
            code="instance_not_found",
        )
    return found


async def list_all(platform: Platform, project: str) -> list[Deployment]:
    """Every instance, in the order in which they were made."""
    page = await deployments.list_page(platform, project)
    return [one for one in page.deployments if one.status != "deleting"]


async def restart(platform: Platform, key: Key, instance_id: str) -> Deployment:
    """Starts a stopped instance again, with the arguments that it had.

    Raises:
        NotFound: no instance has this id.
        Forbidden: it is for all, and the key is no admin's.
        Conflict: it is not stopped.
    """
    found = await _changeable(platform, key, instance_id)
    if state_of(found) != "stopped":
        raise Conflict(
            f"instance {instance_id} is {state_of(found)}; only a stopped one can be restarted",
            code="not_stopped",
        )
    return await deployments.start(platform, key.project, instance_id)


async def stop(platform: Platform, key: Key, instance_id: str) -> Deployment:
    """Stops an instance; running requests get time to finish.

    Raises:
        NotFound: no instance has this id.
        Forbidden: it is for all, and the key is no admin's.
        Conflict: it was stopped already.
    """
    await _changeable(platform, key, instance_id)
    return await deployments.stop(platform, key.project, instance_id)


async def stop_all(platform: Platform, key: Key) -> list[str]:
    """Stops whatever is not, but for what the key may not change; gives the ids. One that failed is stopped
    too, or it might come back.
    """
    stopped = []
    for one in await _all_changeable(platform, key):
        if one.status != "stopped" and await _done(deployments.stop(platform, key.project, one.id)):
            stopped.append(one.id)
    return stopped


async def delete(platform: Platform, key: Key, instance_id: str) -> None:
    """
    Raises:
        NotFound: no instance has this id.
        Forbidden: it is for all, and the key is no admin's.
        Conflict: it is not stopped.
    """
    await _changeable(platform, key, instance_id)
    await deployments.delete(platform, key.project, instance_id, allow=_must_be_stopped)


async def delete_all(platform: Platform, key: Key, *, force: bool) -> list[str]:
    """Deletes the stopped instances, with `force` the others too, but for what the key may not change; gives
    the ids.
    """
    allow = None if force else _must_be_stopped
    deleted = []
    for one in await _all_changeable(platform, key):
        if not force and state_of(one) != "stopped":
            continue
        if await _done(deployments.delete(platform, key.project, one.id, allow=allow)):
            deleted.append(one.id)
    return deleted


async def _changeable(platform: Platform, key: Key, instance_id: str) -> Deployment:
    found = await find(platform, key.project, instance_id)
    require_change(key, found)
    return found


async def _all_changeable(platform: Platform, key: Key) -> list[Deployment]:
    return [one for one in await list_all(platform, key.project) if may_change(key, one)]


async def _done(verb: Coroutine[Any, Any, Deployment]) -> bool:
    """Whether it could be done; somebody else may have changed the instance meanwhile."""
    try:
        await verb
    except (Conflict, NotFound):
        return False
    return True


def _must_be_stopped(deployment: Deployment) -> None:
    if state_of(deployment) != "stopped":
        raise Conflict(
            f"instance {deployment.id} is {state_of(deployment)}; stop it before deleting it",
            code="not_stopped",
        )
