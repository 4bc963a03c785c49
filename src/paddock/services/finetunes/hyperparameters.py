"""The hyperparameters that a fine-tune may be given; `recipe.choose` decides what was left open."""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.schemas.training import Method, Scheduler

ALIASES = {"n_epochs": "epochs", "lr": "learning_rate", "lora_r": "lora_rank"}
ALL_LINEAR = "all-linear"
AUTO = "auto"
Device = Literal["auto", "cpu", "cuda"]
_SHOWN = 60


def _no_switch(value: Any) -> Any:
    """Pydantic takes `true` for 1."""
    if isinstance(value, bool):
        raise ValueError("a switch is no number")
    return value


def _names(value: Any) -> Any:
    """LLM Engine's clients send texts only."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Whole = Annotated[int, BeforeValidator(_no_switch)]
Number = Annotated[float, BeforeValidator(_no_switch)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _field(meaning: str, right: str, **bounds: Any) -> Any:
    return Field(default=None, description=meaning, json_schema_extra={"right": right}, **bounds)


class Hyperparameters(BaseModel):
    """What was asked for; None is what was not. Numbers may be texts, as LLM Engine's clients send them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    method: Method | None = _field(
        "`lora` learns an adapter, which is served beside its base; `full` learns all weights and makes a"
        " model.",
        '"lora" or "full"',
    )
    epochs: Number | None = _field(
        "Passes over the training rows; the last may be a part of one.",
        "a number above 0 and at most 1000",
        gt=0,
        le=1000,
    )
    learning_rate: Number | None = _field(
        "The highest of the run.", "a number above 0 and at most 1", gt=0, le=1
    )
    learning_rate_multiplier: Number | None = _field(
        "Times the default learning rate; instead of `learning_rate`.",
        "a number above 0 and at most 100",
        gt=0,
        le=100,
    )
    batch_size: Whole | None = _field(
        "Rows that are learned in one step.", "a whole number from 1 to 4096", ge=1, le=4096
    )
    gradient_accumulation: Whole | None = _field(
        "Equal parts of a batch that are computed one after the other; more of them need less memory.",
        "a whole number from 1 to 4096",
        ge=1,
        le=4096,
    )
    scheduler: Scheduler | None = _field(
        "How the learning rate falls after the warm-up.", '"cosine", "linear" or "constant"'
    )
    warmup_ratio: Number | None = _field(
        "The part of the steps in which the learning rate rises.", "a number from 0 to 1", ge=0, le=1
    )
    weight_decay: Number | None = _field(
        "How strongly weights are drawn to 0.", "a number from 0 to 10", ge=0, le=10
    )
    lora_rank: Whole | None = _field("Size of the adapter.", "a whole number from 1 to 512", ge=1, le=512)
    lora_alpha: Number | None = _field(
        "Strength of the adapter, which is scaled by alpha/rank.",
        "a number above 0 and at most 10000",
        gt=0,
        le=10_000,
    )
    lora_dropout: Number | None = _field(
        "The part of an adapter's inputs that is left out in each step.",
        "a number from 0 to below 1",
        ge=0,
        lt=1,
    )
    lora_targets: (
        Literal["all-linear"]
        | Annotated[list[Name], BeforeValidator(_names), Field(min_length=1, max_length=100)]
        | None
    ) = _field(
        "The linear layers that get an adapter, by the last part of their names.",
        '"all-linear" or a list of names such as ["q_proj", "v_proj"]',
    )
    max_length: Whole | None = _field(
        "Tokens of a row, prompt and response together.", "a whole number of at least 2", ge=2, le=2**31 - 1
    )
    truncate: bool | None = _field(
        "Whether a longer row is cut at its end; without it, it is an error.", "true or false"
    )
    packing: bool | None = _field(
        "Whether short rows share a sequence, each seeing itself only.", "true or false"
    )
    group_by_length: bool | None = _field(
        "Whether rows of like length go into a batch together.", "true or false"
    )
    early_stopping: Whole | None = _field(
        "Evaluations without a better validation loss after which it stops and keeps the best; 0: never.",
        "a whole number from 0 to 1000",
        ge=0,
        le=1000,
    )
    seed: Whole | None = _field(
        "Of what is drawn: the rows kept for validation, their order, the adapter's first weights.",
        "a whole number from 0 to 4294967295",
        ge=0,
        lt=2**32,
    )
    device: Device | None = _field("Where it learns.", '"auto", "cpu" or "cuda"')


def parse(given: Mapping[str, Any] | None, param: str = "hyperparameters") -> Hyperparameters:
    """Checks what a caller sent. `"auto"` and null mean the default of each.

    Args:
        param: the field of the request that holds them.

    Raises:
        InvalidRequest: a value is not what it should be; says which and what would be right.
        UnsupportedParameter: there is no such hyperparameter.
    """
    if given is None:
        return Hyperparameters()
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{param} must be an object, not {_shown(given)}", param=param)
    named = _named(given, param)
    try:
        asked = Hyperparameters.model_validate(named)
    except ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
        sent = next((other for other in given if ALIASES.get(other, other) == name), name)
        raise _wrong(name, named[name], f"{param}.{sent}") from None
    _check_together(asked, param)
    return asked


def _named(given: Mapping[str, Any], param: str) -> dict[str, Any]:
    """By the names that they have here, without those that are left to Paddock."""
    known = [*Hyperparameters.model_fields, *ALIASES]
    found: dict[str, Any] = {}
    senders: dict[str, str] = {}
    for sent, value in given.items():
        if sent not in known:
            raise _unknown(str(sent), known, param)
        if value is None or (isinstance(value, str) and value.strip().lower() == AUTO):
            continue
        name = ALIASES.get(sent, sent)
        if name in senders:
            said = f"{param}.{sent} and {param}.{senders[name]} are the same; give one of them"
            raise InvalidRequest(said, param=f"{param}.{sent}")
        senders[name] = sent
        found[name] = value
    return found


def _unknown(sent: str, known: list[str], param: str) -> UnsupportedParameter:
    near = difflib.get_close_matches(sent, known, n=3)
    if near:
        *others, last = [repr(name) for name in near]
        hint = f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
    else:
        hint = f"there are {', '.join(Hyperparameters.model_fields)}"
    return UnsupportedParameter(
        f"{sent[:100]!r} is not a hyperparameter; {hint}", param=f"{param}.{sent[:100]}"
    )


def _wrong(name: str, value: Any, param: str) -> InvalidRequest:
    extra = Hyperparameters.model_fields[name].json_schema_extra
    right = extra["right"] if isinstance(extra, dict) else "right"
    return InvalidRequest(f'{param} must be {right}, or "{AUTO}", not {_shown(value)}', param=param)


def _check_together(asked: Hyperparameters, param: str) -> None:
    if asked.learning_rate is not None and asked.learning_rate_multiplier is not None:
        name = f"{param}.learning_rate_multiplier"
        said = f"{name} is of the default learning rate; give it or learning_rate, not both"
        raise InvalidRequest(said, param=name)
    if asked.packing and asked.group_by_length:
        name = f"{param}.group_by_length"
        raise InvalidRequest(f"{name} has no meaning with packing; give one of them", param=name)
    if asked.method == "full":
        for field in asked.model_fields_set:
            if field.startswith("lora_"):
                name = f"{param}.{field}"
                raise InvalidRequest(f'{name} is only taken with method "lora"', param=name)


def _shown(value: Any) -> str:
    """For a message."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
