"""Who may change a deployment that all projects use, and who sees what its engines say."""

from __future__ import annotations

from paddock.errors import Forbidden
from paddock.gateway.http import Request
from paddock.schemas.own import Deployment, Event
from paddock.services import deployments
from paddock.services.keys import ADMIN, Key
from paddock.services.platform import Platform
from paddock.services.tuned_models import TunedModel

WITHHELD = f"a key with the scope {ADMIN} sees why"
_TELLING_NOTHING = ("created", "updated", "replica_ready")
"""Events whose message comes from no engine."""


async def changeable(platform: Platform, request: Request, name: str) -> Deployment:
    """The deployment of this name or id, which the caller may change and whose engines' logs he may read.

    Raises:
        NotFound: there is none, or it is another project's.
        Forbidden: it is for all, and the key is no admin's.
    """
    found = await deployments.get(platform, request.project, name)
    require_change(request.key, found)
    return found


async def changeable_model(platform: Platform, key: Key, model: TunedModel) -> None:
    """Looks whether the caller may delete a model, along with its deployment.

    Raises:
        Forbidden: that one is for all, and the key is no admin's.
    """
    own = await platform.store.read(lambda session: deployments.known(session, key.project, model.name))
    if own is not None:
        require_change(key, own)


def may_change(key: Key, deployment: Deployment) -> bool:
    """What the command line names belongs to whoever runs the server."""
    return not deployment.public or ADMIN in key.scopes


def shown(key: Key, deployment: Deployment) -> Deployment:
    """The deployment as the caller may see it.

    Why engines do not start is said in their own words, which name the machine's folders and what was called
    there: those of one that is for all are for whoever may read their logs.
    """
    if may_change(key, deployment):
        return deployment
    tells = bool(deployment.reason) and deployment.status != "stopped"
    return deployment.model_copy(update={"log": [], "reason": WITHHELD if tells else deployment.reason})


def shown_event(key: Key, event: Event) -> Event:
    """As `shown`."""
    if not event.public or ADMIN in key.scopes or not event.message or event.kind in _TELLING_NOTHING:
        return event
    return event.model_copy(update={"message": WITHHELD})


def require_change(key: Key, deployment: Deployment) -> None:
    """
    Raises:
        Forbidden: as `changeable`.
    """
    if not may_change(key, deployment):
        raise Forbidden(
            f"{deployment.name} was named on the command line and serves every project: to change it or to"
            f" read its engines' logs, the API key {key.name!r} needs the scope {ADMIN!r}"
        )
