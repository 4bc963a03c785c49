"""Deployments in Paddock's own API: what is wished, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import TypeAdapter

from paddock.errors import InvalidRequest, NotFound, PaddockError
from paddock.gateway.app import Route
from paddock.gateway.guard import changeable, shown
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.query import number
from paddock.gateway.validate import parse_whole
from paddock.gateway.visible import permit
from paddock.schemas.limits import NANO
from paddock.schemas.own import Cost, CreateDeployment, Deployment, ScaleDeployment, UpdateDeployment
from paddock.services import deployments
from paddock.services.platform import Platform
from paddock.services.usage import instances

PAGE = 100
LARGEST_PAGE = 1000
_CREATE = TypeAdapter(CreateDeployment)
_UPDATE = TypeAdapter(UpdateDeployment)
_SCALE = TypeAdapter(ScaleDeployment)
_LIST = {"limit": f"1 to {LARGEST_PAGE}, by default {PAGE}", "after": "the `next` of the page before"}
_EXAMPLE = {"model": "paddock/foal", "name": "my-foal", "min_workers": 1, "max_workers": 2}

Verb = Callable[[Platform, str, str], Awaitable[Deployment]]


def routes(platform: Platform) -> list[Route]:
    async def list_page(request: Request) -> Response:
        values = query_values(request, _LIST)
        limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
        try:
            page = await deployments.list_page(
                platform, request.project, limit=limit, after=values.get("after"), of_jobs=True
            )
        except NotFound as error:
            raise InvalidRequest(f"after: {error.message}; begin again without it", param="after") from None
        found = [shown(request.key, one) for one in page.deployments]
        await _price(platform, found)
        body = {"data": found, "next": page.next}
        return Response(_PAGE.dump_json(body))

    async def create(request: Request) -> Response:
        asked = parse_whole(_CREATE, request.body)
        made = await deployments.create(
            platform, request.project, asked, key_id=request.key.id, permit=permit(request.key)
        )
        return await _answer(platform, made, status=201)

    async def get(request: Request) -> Response:
        found = await deployments.get(platform, request.project, request.params["name"])
        return await _answer(platform, shown(request.key, found))

    async def update(request: Request) -> Response:
        asked = _with_defaults(parse_whole(_UPDATE, request.body))
        found = await changeable(platform, request, request.params["name"])
        return await _answer(
            platform,
            await deployments.update(platform, request.project, found.id, asked, permit=permit(request.key)),
        )

    async def scale(request: Request) -> Response:
        asked = parse_whole(_SCALE, request.body)
        given = {name: value for name, value in asked if value is not None}
        if not given:
            raise InvalidRequest("give min_workers, max_workers or both", param="min_workers")
        wish = UpdateDeployment(**given)
        found = await changeable(platform, request, request.params["name"])
        return await _answer(
            platform,
            await deployments.update(platform, request.project, found.id, wish, permit=permit(request.key)),
        )

    def verb(apply: Verb) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            found = await changeable(platform, request, request.params["name"])
            return await _answer(platform, await apply(platform, request.project, found.id))

        return endpoint

    one = "/deployments/{name}"
    return [
        Route("GET", "/deployments", list_page, "All deployments, page by page.", query=_LIST),
        Route("POST", "/deployments", create, "Deploy a model.", body=_CREATE, example=_EXAMPLE),
        Route("GET", one, get, "One deployment with its replicas, by name or id."),
        Route("PATCH", one, update, "Change what is given.", body=_UPDATE, example={"per_worker": 4}),
        Route("DELETE", one, verb(deployments.delete), "End its engines and forget it."),
        Route("POST", f"{one}/stop", verb(deployments.stop), "Stop it until it is started again."),
        Route("POST", f"{one}/start", verb(deployments.start), "Start a stopped or failed one again."),
        Route(
            "POST",
            f"{one}/scale",
            scale,
            "Change the bounds of its workers.",
            body=_SCALE,
            example={"min_workers": 0, "max_workers": 4},
        ),
    ]


_PAGE: TypeAdapter[Any] = TypeAdapter(dict[str, list[Deployment] | str | None])


async def _answer(platform: Platform, deployment: Deployment, status: int = 200) -> Response:
    await _price(platform, [deployment])
    return Response(deployment.model_dump_json().encode(), status)


async def _price(platform: Platform, found: Sequence[Deployment]) -> None:
    """Says what they cost so far. A ledger that fails keeps nobody from the rest."""
    ids = [one.id for one in found]
    try:
        costs = await platform.ledger.read(lambda session: instances.costs(session, ids))
    except PaddockError:
        return
    for one in found:
        one.cost = Cost(amount=costs.get(one.id, 0) / NANO, currency=platform.hardware.currency)


def _with_defaults(asked: UpdateDeployment) -> UpdateDeployment:
    """What was given as null, as what it is by default.

    Raises:
        InvalidRequest: nothing was given, or a field that has no default as null.
    """
    given = asked.model_dump(exclude_unset=True)
    if not given:
        names = ", ".join(UpdateDeployment.model_fields)
        raise InvalidRequest(f"nothing is given that would change; there is: {names}")
    for name in [name for name, value in given.items() if value is None]:
        field = CreateDeployment.model_fields[name]
        if field.is_required():
            raise InvalidRequest(f"{name} must not be null", param=name)
        given[name] = {} if name == "labels" else field.default
    return UpdateDeployment.model_validate(given)
