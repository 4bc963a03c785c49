"""Bodies of Paddock's own routes for keys and projects. What a value must be beyond its type, verbs say."""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from pydantic import BaseModel, ConfigDict, Field


class _Body(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True, allow_inf_nan=False)


class LimitsBody(_Body):
    """What may be used; null is no limit."""

    requests_per_minute: int | None = Field(default=None, description="In any 60 seconds.")
    tokens_per_minute: int | None = Field(
        default=None, description="Of prompts and answers together, in any 60 seconds."
    )
    concurrent_requests: int | None = Field(default=None, description="Being answered at once.")
    budget: float | None = Field(default=None, description="An amount of the currency.")
    budget_period: str | None = Field(default=None, description="day, month (both of UTC) or total.")


class CreateKey(_Body):
    """Body of POST /keys."""

    name: str = Field(min_length=1, description="By which you know it again.")
    project: str | None = Field(default=None, description="By default `local`; made if there is none.")
    scopes: list[str] | None = Field(
        default=None, description="Of inference, manage and admin; by default the first two."
    )
    models: list[str] | None = Field(
        default=None, description="Names of models that it may ask, with * for any text; by default all."
    )
    limits: LimitsBody | None = None
    expires_at: float | None = Field(default=None, gt=0, description="In seconds since 1970; null is never.")


class UpdateKey(_Body):
    """Body of PATCH /keys/{key}. Only what is given changes, whatever the defaults here."""

    name: str = Field(default="", min_length=1)
    scopes: list[str] = []
    models: list[str] = Field(default=[], description="The empty list allows every model.")
    limits: LimitsBody | None = None
    expires_at: float | None = Field(default=None, gt=0, description="In seconds since 1970; null is never.")


class RotateKey(_Body):
    """Body of POST /keys/{key}/rotate."""

    keep_old_seconds: float = Field(
        default=0.0, ge=0, le=30 * 86400, description="How long the secret before works too."
    )


class UpdateProject(_Body):
    """Body of PATCH /projects/{project}."""

    limits: LimitsBody
