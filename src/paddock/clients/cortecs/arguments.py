"""Which instance is meant: arguments of calls, their defaults, and instances that already fit them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from paddock.clients.cortecs.error import BadRequest
from paddock.schemas.cortecs import (
    DEFAULT_BILLING_INTERVAL,
    DEFAULT_CONTEXT_LENGTH,
    DEFAULT_NUM_WORKERS,
    Instance,
    InstanceArgs,
    Model,
    to_model_id,
)

# What the newer and the older published client read the context from.
_CONTEXT_PARAMS = ("--max-model-len", "max_context_length")
_BEST_FIRST = ("running", "pending", "stopped")


def asked(model_name: str | None, model_id: str | None, **fields: Any) -> InstanceArgs:
    """The arguments of a call, of which the model may be named either way.

    Raises:
        BadRequest: no model is named or two different ones, or a field is of a wrong type.
    """
    try:
        return InstanceArgs(model_id=named(model_name, model_id), **fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequest(f"{first['loc'][0]}: {first['msg'].lower()}, not {first['input']!r}") from None


def named(model_name: str | None, model_id: str | None) -> str:
    """The id of the model that either argument names.

    Raises:
        BadRequest: neither does, or they name different models.
    """
    if model_name and model_id and to_model_id(model_name) != to_model_id(model_id):
        raise BadRequest(
            f"model_name {model_name!r} and model_id {model_id!r} are different models; give one"
        )
    name = model_name or model_id
    if not isinstance(name, str) or not name:
        raise BadRequest("model_name is missing: it is a model's name or id, such as paddock/foal")
    return to_model_id(name)


def resolved(args: InstanceArgs, model: Model) -> InstanceArgs:
    """`args` with the defaults that the server would fill in.

    Raises:
        BadRequest: the model does not run on that hardware, or not with that much context.
    """
    hardware_type_id = args.hardware_type_id or model.recommended_config
    config = model.hardware_configs.get(hardware_type_id or "")
    if config is None:
        possible = ", ".join(model.hardware_configs) or "none"
        raise BadRequest(
            f"hardware_type_id must be one that {args.model_id} runs on ({possible}), "
            f"not {hardware_type_id!r}"
        )
    most = next((config.params[name] for name in _CONTEXT_PARAMS if config.params.get(name)), None)
    context_length = args.context_length or min(DEFAULT_CONTEXT_LENGTH, most or DEFAULT_CONTEXT_LENGTH)
    if most is not None and context_length > most:
        raise BadRequest(
            f"context_length {context_length} is too large for {args.model_id} on {hardware_type_id}: "
            f"it can be at most {most}"
        )
    return InstanceArgs(
        model_id=args.model_id,
        hardware_type_id=hardware_type_id,
        context_length=context_length,
        billing_interval=args.billing_interval or DEFAULT_BILLING_INTERVAL,
        num_workers=args.num_workers or DEFAULT_NUM_WORKERS,
    )


def best_fit(instances: Iterable[Instance], wanted: InstanceArgs) -> Instance | None:
    """The instance started with the arguments `wanted` that is nearest to running; None without any."""
    fitting = [each for each in instances if _key(each.instance_args) == _key(wanted)]
    for status in _BEST_FIRST:
        for instance in fitting:
            if instance.instance_status.status == status:
                return instance
    return None


def _key(args: InstanceArgs) -> tuple[object, ...]:
    # Not `==`: a server may add fields to its answers, and the older platform has no `num_workers`.
    return (
        args.model_id,
        args.hardware_type_id,
        args.context_length,
        args.billing_interval,
        args.num_workers or DEFAULT_NUM_WORKERS,
    )
