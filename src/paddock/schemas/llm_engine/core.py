"""What the LLM Engine dialect's types are built from: the two bases, strict scalars, and shared words."""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, Strict, model_validator

_LONGEST_URL = 2083  # The published client's own limit; it would fail to parse an answer that holds more.

Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]


class Wire(BaseModel):
    """An answer, or a part of one. Fields that are not named are kept, so that a server may grow."""

    # Schemas are built when a class is first used: importing this package then costs next to nothing.
    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=())


class RequestWire(Wire):
    """A request's body. A field that is null counts as not sent.

    The published client sends every field of its types, with nulls where its caller said nothing; so nulls
    neither fail nor appear in `model_fields_set`, and defaults stand in their place. Fields that are not
    named are kept in `model_extra`, so that a server can say which it does not take. Numbers and booleans
    are strict: text is no number, a whole number will do for a float.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: field for name, field in value.items() if field is not None}


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or len(value) > _LONGEST_URL:
        raise ValueError(f"must be an http:// or https:// URL of at most {_LONGEST_URL} characters")
    return value


CpuSpecificationType = str | Int | Float
StorageSpecificationType = str | Int | Float
# A plain string, not pydantic's URL: that one adds slashes, and what was sent should be echoed as it was.
HttpUrl = Annotated[str, AfterValidator(_http_url)]


class LLMInferenceFramework(StrEnum):
    """The inference frameworks that the dialect knows; the published client refuses any other."""

    DEEPSPEED = "deepspeed"
    TEXT_GENERATION_INFERENCE = "text_generation_inference"
    VLLM = "vllm"
    LIGHTLLM = "lightllm"
    TENSORRT_LLM = "tensorrt_llm"


class LLMSource(StrEnum):
    """Where a model comes from."""

    HUGGING_FACE = "hugging_face"


class Quantization(StrEnum):
    """How weights are quantized."""

    BITSANDBYTES = "bitsandbytes"
    AWQ = "awq"


class GpuType(StrEnum):
    """The GPU types that the dialect has names for."""

    NVIDIA_TESLA_T4 = "nvidia-tesla-t4"
    NVIDIA_AMPERE_A10 = "nvidia-ampere-a10"
    NVIDIA_AMPERE_A100 = "nvidia-ampere-a100"
    NVIDIA_AMPERE_A100E = "nvidia-ampere-a100e"
    NVIDIA_HOPPER_H100 = "nvidia-hopper-h100"
    NVIDIA_HOPPER_H100_1G_20GB = "nvidia-hopper-h100-1g20gb"
    NVIDIA_HOPPER_H100_3G_40GB = "nvidia-hopper-h100-3g40gb"


class ModelEndpointType(StrEnum):
    """How an endpoint answers."""

    STREAMING = "streaming"


class ModelEndpointStatus(StrEnum):
    """Where an endpoint is in its life."""

    READY = "READY"
    UPDATE_PENDING = "UPDATE_PENDING"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    UPDATE_FAILED = "UPDATE_FAILED"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"


class PostInferenceHooks(StrEnum):
    """What may happen after an inference: `callback` calls a URL with the answer."""

    CALLBACK = "callback"


class CallbackBasicAuth(Wire):
    """HTTP Basic, for a callback."""

    kind: Literal["basic"]
    username: str
    password: str


class CallbackmTLSAuth(Wire):
    """A client certificate and its key, for a callback."""

    kind: Literal["mtls"]
    cert: str
    key: str


class CallbackAuth(RootModel[Annotated[CallbackBasicAuth | CallbackmTLSAuth, Field(discriminator="kind")]]):
    """How to authenticate at a callback's URL; `kind` says which of the two this is."""

    model_config = ConfigDict(defer_build=True)


class StreamErrorContent(Wire):
    """What went wrong, and when."""

    error: str = Field(description="The error's message.")
    timestamp: str = Field(description="When it happened.")


class StreamError(Wire):
    """An error that arrives as an event of a stream that had begun."""

    status_code: int = Field(description="The HTTP status that the answer would have had.")
    content: StreamErrorContent = Field(description="What went wrong.")
