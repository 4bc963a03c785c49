"""Bodies of requests for endpoints as this server reads them, with better words for what is wrong."""

from __future__ import annotations

import difflib
from typing import Any

import orjson
from pydantic import Field, TypeAdapter

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.gateway.validate import parse_whole
from paddock.schemas.bounds import INT32
from paddock.schemas.llm_engine import CreateLLMEndpointRequest, UpdateLLMEndpointRequest
from paddock.schemas.own import MOST_WORKERS

JSON = dict[str, Any]
_COUNTS = {"max_model_len": 1, "max_num_seqs": 1, "min_workers": 0, "max_workers": 0, "per_worker": 1}
_COUNTS |= {"num_shards": 1, "gpus": 0, "tensor_parallel_size": 1}
_MOST = {"min_workers": MOST_WORKERS, "max_workers": MOST_WORKERS}
_FIXED = ("endpoint_type", "inference_framework", "nodes_per_worker")


# What the reference types as an enumeration or a union is looked at where it can be said what is possible.
class CreateBody(CreateLLMEndpointRequest):
    __doc__ = CreateLLMEndpointRequest.__doc__

    quantize: Any = Field(default=None, description="Type of the loaded weights: F16, BF16 or Q8_0.")
    cpus: Any = Field(default=None, description="CPU cores of a worker.")
    memory: Any = Field(default=None, description='Memory of a worker: bytes, or text like "24Gi".')
    storage: Any = Field(default=None, description="Disk space of a worker, like memory; kept, not enforced.")


class UpdateBody(UpdateLLMEndpointRequest):
    __doc__ = UpdateLLMEndpointRequest.__doc__

    quantize: Any = Field(default=None, description="Type of the loaded weights: F16, BF16 or Q8_0.")
    cpus: Any = Field(default=None, description="CPU cores of a worker.")
    memory: Any = Field(default=None, description='Memory of a worker: bytes, or text like "24Gi".')
    storage: Any = Field(default=None, description="Disk space of a worker, like memory; kept, not enforced.")


CREATE: TypeAdapter[CreateBody] = TypeAdapter(CreateBody)
UPDATE: TypeAdapter[UpdateBody] = TypeAdapter(UpdateBody)


def read_create(raw: bytes) -> JSON:
    """The fields of a new endpoint that were given, and the defaults that are shown again.

    Raises:
        InvalidRequest: a field is missing or wrong.
        UnsupportedParameter: nobody knows it.
    """
    body = parse_whole(CREATE, raw)
    given = body.model_dump(mode="json", exclude_unset=True)
    for name in body.model_extra or ():
        raise _unknown(name, CreateBody)
    _check(given)
    shown = ("source", "inference_framework", "inference_framework_image_tag", "public_inference")
    return {**body.model_dump(mode="json", include=set(shown)), **given}


def read_update(raw: bytes, before: JSON) -> JSON:
    """The fields that are to change.

    Args:
        before: the endpoint's fields as they were asked for.

    Raises:
        InvalidRequest: a field is wrong, or cannot change.
        UnsupportedParameter: nobody knows it.
    """
    body = parse_whole(UPDATE, raw)
    given = body.model_dump(mode="json", exclude_unset=True)
    for name, value in (body.model_extra or {}).items():
        if name not in _FIXED:
            raise _unknown(name, UpdateBody)
        is_so = {"endpoint_type": "streaming", "inference_framework": "vllm", "nodes_per_worker": 1}
        now = before.get(name, is_so[name])
        if value != now:
            raise InvalidRequest(f"{name} cannot be changed: it is {now!r}", param=name)
        del given[name]
    _check(given)
    return given


def _check(given: JSON) -> None:
    for name, value in given.items():
        try:
            orjson.dumps(value)
        except TypeError as error:
            # It is kept and shown again, which takes ordinary JSON.
            raise InvalidRequest(f"{name}: {error}", param=name) from None
    for name, least in _COUNTS.items():
        most = _MOST.get(name, INT32)
        if name in given and not least <= given[name] <= most:
            raise InvalidRequest(
                f"{name} must be from {least} to {most}, not {str(given[name])[:20]}", param=name
            )
    for name in ("name", "model_name", "checkpoint_path"):
        if given.get(name) == "":
            raise InvalidRequest(f"{name} must not be an empty string", param=name)


def _unknown(name: str, body: type[CreateBody | UpdateBody]) -> UnsupportedParameter:
    known = list(body.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
    return UnsupportedParameter(f"{name[:100]!r} is not a field of endpoints{hint}", param=name[:100])
