"""Webhooks in Paddock's own API: whom a project tells what happens in it, and what became of that.

Times are seconds since 1970.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DeliveryState = Literal["waiting", "delivered", "failed"]
BATCH_EVENTS = ("batch.completed", "batch.failed", "batch.cancelled", "batch.expired")
FINE_TUNE_EVENTS = ("fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled")
DEPLOYMENT_EVENTS = tuple(
    f"deployment.{kind}" for kind in ("created", "updated", "ready", "asleep", "failed", "stopped", "deleted")
)
EVENTS = (*BATCH_EVENTS, *FINE_TUNE_EVENTS, *DEPLOYMENT_EVENTS)
MOST_NAME = 128
_EVENTS = "Types of events; `batch.*` means all that begin so, `*` all there are."
_SECRET = "`whsec_` and 24 to 64 bytes in base64; by default a new one."


class _Wire(BaseModel):
    model_config = ConfigDict(defer_build=True)


class Delivery(_Wire):
    """A message to a webhook."""

    id: str
    event: str = Field(description="The event's id: the `webhook-id` of each try.")
    type: str
    state: DeliveryState
    attempts: int = Field(description="Tries so far.")
    next_at: float | None = Field(description="When it is tried next; null once it is over.")
    status: int = Field(description="What the receiver last answered; 0 if nothing.")
    error: str = Field(description="Why the last try failed.")
    created_at: float
    finished_at: float | None


class Webhook(_Wire):
    """An address that is told what happens in its project."""

    id: str
    name: str
    url: str
    events: list[str] = Field(description=_EVENTS)
    enabled: bool
    reason: str = Field(description="Why it is not enabled, if nobody chose so.")
    last_at: float | None = Field(description="When something was last tried.")
    last_status: int = Field(description="What the receiver answered; 0 if nothing.")
    last_error: str
    failing_since: float | None = Field(description="Since when every try failed; null if the last did not.")
    created_at: float


class WebhookWithSecret(Webhook):
    """The only time that the secret is shown."""

    secret: str = Field(description="What to check signatures with.")


class WebhookWithDeliveries(Webhook):
    deliveries: list[Delivery] = Field(description="The latest ones, the newest first.")


class TestResult(_Wire):
    """What came of a `webhook.test` event."""

    delivered: bool
    event: str = Field(description="Its id.")
    status: int = Field(description="What the receiver answered; 0 if nothing.")
    error: str
    seconds: float


class CreateWebhook(_Wire):
    """Body of POST /webhooks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(description="Where to post to.")
    events: list[str] = Field(min_length=1, max_length=len(EVENTS), description=_EVENTS)
    name: str = Field(default="", max_length=MOST_NAME, description="For people.")
    secret: str | None = Field(default=None, description=_SECRET)


class UpdateWebhook(_Wire):
    """Body of PATCH /webhooks/{id}. Only what is given changes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str | None = None
    events: list[str] | None = Field(default=None, min_length=1, max_length=len(EVENTS), description=_EVENTS)
    name: str | None = Field(default=None, max_length=MOST_NAME)
    enabled: bool | None = Field(default=None, description="false: what happens meanwhile is not told later.")
