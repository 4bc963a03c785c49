"""Requests and answers of the Cortecs dialect: instances of models on chosen hardware, with prices.

The contract is Cortecs' objects reference and what its two published clients read (`cortecs-py` 0.0.11 and
0.1.2). Where they slip against the reference they win: 0.1.2 reads the progress from `worker_statuses` and
the context from `params["--max-model-len"]`, 0.0.11 from `instance_status` and `max_context_length`, so
answers carry both. Fields that are not named here are kept, so that a server may grow.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator, with_config
from typing_extensions import TypedDict

from paddock.schemas.bounds import INT32

DEFAULT_CONTEXT_LENGTH = 32_000
"""Tokens of context for an instance when none are asked for, if the model has as many."""
DEFAULT_BILLING_INTERVAL = "per_minute"
DEFAULT_NUM_WORKERS = 1
MOST_WORKERS = 64
NUM_STEPS = 5
"""Steps from queued to ready: queued, reserving hardware, fetching weights, loading, ready."""

BillingInterval = Literal["per_minute", "per_hour"]
InstanceState = Literal["pending", "running", "stopped"]


def to_model_id(hf_name: str) -> str:
    """The id of the model that Hugging Face calls `hf_name`: `paddock--foal` for `paddock/foal`."""
    return hf_name.replace("/", "--")


def to_hf_name(model_id: str) -> str:
    """The Hugging Face name of the model with this id: `paddock/foal` for `paddock--foal`."""
    return model_id.replace("--", "/")


class _Wire(BaseModel):
    # Schemas are built when a class is first used: importing this module then costs next to nothing.
    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=())


@with_config(ConfigDict(extra="allow"))
class InitProgress(TypedDict):
    """How far an instance or a worker is on its way to running; a dictionary, as the reference has it."""

    current_step: Annotated[int, Field(description="From 1 (queued) to 5 (ready).")]
    num_steps: Annotated[int, Field(description="The total number of steps: 5.")]
    description: Annotated[str, Field(description="What the current step is doing.")]


class InstanceArgs(_Wire):
    """The arguments of an instance; in answers, with every default filled in."""

    model_id: str = Field(description="The model's name with `/` as `--`.")
    hardware_type_id: str | None = Field(
        default=None, description="Where each worker runs, such as NVIDIA_L4_1."
    )
    context_length: int | None = Field(default=None, description="Most tokens of prompt and answer together.")
    billing_interval: str | None = Field(default=None, description='"per_minute" or "per_hour".')
    num_workers: int | None = Field(
        default=None, description="How many copies of the model answer; the older client does not know it."
    )

    @property
    def hf_name(self) -> str:
        """The model's Hugging Face name: `model_id` with `--` as `/`."""
        return to_hf_name(self.model_id)

    @classmethod
    def from_hf_name(cls, hf_name: str, **kwargs: Any) -> Self:
        """The arguments for the model that Hugging Face calls `hf_name`; `kwargs` are the other fields."""
        return cls(model_id=to_model_id(hf_name), **kwargs)


class InstanceStatus(_Wire):
    """Where an instance is in its life."""

    status: str = Field(description='"pending", "running" or "stopped".')
    started_at: datetime | None = Field(
        default=None, description="When it began to run; null while it is initialising."
    )
    stopped_at: datetime | None = Field(default=None, description="When it stopped; null until it has.")
    init_progress: InitProgress | None = Field(
        default=None, description="Progress of the first worker to be ready; null when stopped."
    )
    reason: str | None = Field(default=None, description="Why it waits, or why it stopped. Paddock's own.")
    log: list[str] | None = Field(
        default=None, description="The engine's last lines, if it could not start. Paddock's own."
    )


class WorkerStatus(_Wire):
    """Where one worker of an instance is."""

    init_progress: InitProgress | None = Field(default=None, description="Its progress; null when stopped.")


class Instance(_Wire):
    """A model on hardware of its own."""

    instance_id: str = Field(description="A unique identifier of the instance.")
    name: str | None = Field(default=None, description="What it is called as a deployment. Paddock's own.")
    base_url: str | None = Field(
        default=None, description="Absolute URL of its OpenAI surface; null until it runs."
    )
    instance_args: InstanceArgs = Field(description="What it was started with.")
    instance_status: InstanceStatus = Field(description="Where it is in its life.")
    worker_statuses: list[WorkerStatus] = Field(
        default_factory=list, description="One entry for each worker; at least one before it runs."
    )
    labels: dict[str, str] | None = Field(
        default=None, description="What its start request labelled it with. Paddock's own."
    )

    def chat_openai_config(self, **kwargs: Any) -> dict[str, Any]:
        """Arguments for LangChain's `ChatOpenAI`: `model_name`, `base_url`, and `kwargs`, which win."""
        return {"model_name": self.instance_args.hf_name, "base_url": self.base_url, **kwargs}


@with_config(ConfigDict(extra="allow"))
class PriceInfo(TypedDict):
    """What a hardware type costs."""

    price_per_hour: Annotated[float, Field(description="Cost of an hour.")]
    price_per_minute: Annotated[float, Field(description="Cost of a minute.")]
    currency: Annotated[str, Field(description="ISO 4217 code of the currency, such as EUR.")]


class HardwareType(_Wire):
    """Hardware that an instance can run on, with its price."""

    hardware_type_id: str = Field(description="A unique identifier, such as NVIDIA_L4_1.")
    price_info: PriceInfo = Field(description="What it costs.")
    hardware_info: dict[str, Any] = Field(description="Its cores, memory and GPUs.")


class HardwareConfig(_Wire):
    """How a model runs on one hardware type."""

    hardware_type_id: str = Field(description="Which hardware type.")
    params: dict[str, Any] = Field(
        description='Most tokens of context, as "--max-model-len" and as "max_context_length".'
    )
    requirements: dict[str, Any] = Field(default_factory=dict, description="What the model needs there.")


class _ModelInfo(_Wire):
    model_id: str = Field(description="The model's name with `/` as `--`.")
    hf_name: str = Field(description="The model's Hugging Face name.")
    instant_provisioned: bool = Field(
        default=False, description="Whether it starts at once, its weights being there already."
    )
    creator: dict[str, str] | None = Field(default=None, description="Who made it, by `name`.")
    description: str | None = Field(default=None, description="What it is.")
    screen_name: str | None = Field(default=None, description="Its name for people.")
    size: int | None = Field(default=None, description="The number of its parameters.")
    recommended_config: str | None = Field(
        default=None, description="The hardware type taken when none is asked for."
    )


class ModelPreview(_ModelInfo):
    """A model in a list."""

    hardware_configs: list[str] | None = Field(default=None, description="Ids of the hardware types it fits.")

    @classmethod
    def from_raw_data(cls, raw_data: dict[str, Any]) -> Self:
        """The model in an entry of the list of models."""
        return cls.model_validate(raw_data)

    @model_validator(mode="before")
    @classmethod
    def _from_either_shape(cls, value: Any) -> Any:
        # The platform itself nests the hardware types and calls the id `model_name`.
        if not isinstance(value, dict):
            return value
        value = dict(value)
        if value.get("model_name"):
            value["model_id"] = value["model_name"]
        nested = value.get("hardware_info")
        if isinstance(nested, dict):
            value["hardware_configs"] = nested.get("hardware_configs")
        if isinstance(value.get("hardware_configs"), dict):
            value["hardware_configs"] = list(value["hardware_configs"])
        return value


class Model(_ModelInfo):
    """A model by itself, with what can be chosen for it."""

    hardware_configs: dict[str, HardwareConfig] = Field(
        default_factory=dict, description="How it runs on each hardware type it fits, by the type's id."
    )
    max_context_length: int | None = Field(
        default=None, description="Most tokens of context that the model itself has."
    )


class TokenResponse(_Wire):
    """Answer of POST /oauth2/token."""

    access_token: str = Field(description="Sent with other requests as a bearer token.")
    token_type: str = Field(default="Bearer", description='Always "Bearer".')
    expires_in: int = Field(description="Seconds for which it holds.")


class InstanceResponse(_Wire):
    instance: Instance


class InstancesResponse(_Wire):
    instances: list[Instance]


class InstanceIdResponse(_Wire):
    """Answer of DELETE /instances/{instance_id}."""

    instance_id: str


class InstanceIdsResponse(_Wire):
    """Answer of POST /instances/stop-all and DELETE /instances/delete-all: those that it was done to."""

    instance_ids: list[str] = Field(default_factory=list)


class ModelResponse(_Wire):
    model: Model


class ModelsResponse(_Wire):
    models: list[ModelPreview]


class HardwareTypesResponse(_Wire):
    hardware_types: list[HardwareType]


class _Request(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: each for name, each in value.items() if each is not None}


class TokenRequest(_Request):
    """Body of POST /oauth2/token (RFC 6749, 4.4). The credentials may come as HTTP Basic instead."""

    grant_type: Literal["client_credentials"]
    client_id: str | None = None
    client_secret: str | None = None


class StartInstanceRequest(_Request):
    """Body of POST /instances/start."""

    model_id: str = Field(min_length=1, description="The model's name, with `/` or with `--`.")
    hardware_type_id: str | None = Field(
        default=None, min_length=1, description="Where to run it; the model's recommended one by default."
    )
    context_length: int | None = Field(
        default=None,
        ge=1,
        le=INT32,
        description="Tokens of context; by default the smaller of 32,000 and the model's own.",
    )
    billing_interval: BillingInterval | None = Field(
        default=None, description='"per_minute" (by default) or "per_hour".'
    )
    num_workers: int | None = Field(
        default=None, ge=1, le=MOST_WORKERS, description="How many copies of the model; 1 by default."
    )
    labels: dict[str, str] | None = Field(
        default=None,
        description="Given back with the instance: whoever lost the answer finds it so. Paddock's own.",
    )


class InstanceIdRequest(_Request):
    """Body of POST /instances/stop and /instances/restart."""

    instance_id: str = Field(min_length=1)
