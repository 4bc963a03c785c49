"""A fine-tune is asked for: everything that could be wrong is found here, before it is a job."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from paddock.errors import (
    InvalidRequest,
    PaddockError,
    StartupError,
    UnsupportedParameter,
)
from paddock.schemas.jobs import Dialect, Job
from paddock.schemas.own import Event
from paddock.services import deployments, events, job_blobs, job_secrets, jobs, tuned_files, tuned_models
from paddock.services.adapters import new_id
from paddock.services.finetunes import recipe, sources, tokens, tracking
from paddock.services.finetunes import rows as reading
from paddock.services.finetunes.base import Base, describe_base
from paddock.services.finetunes.hyperparameters import Hyperparameters, parse
from paddock.services.finetunes.rows import Facts
from paddock.services.finetunes.spec import KIND, FineTuneSpec, training_key, validation_key
from paddock.services.finetunes.split import Divided
from paddock.services.finetunes.tokens import Tokens
from paddock.services.finetunes.tracking import Wandb
from paddock.services.finetunes.whole import check_length, check_whole
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform, in_thread, nodes
from paddock.store.blobs import new_blob
from paddock.weights.facts import ModelFacts
from paddock.weights.resolve import Weights, resolve

JSON = dict[str, Any]
SECONDS = 7 * 24 * 3600.0
"""After which a fine-tune is given up."""
MOST_EVENTS = 2000
TRAINING, VALIDATION = "training_file", "validation_file"
_SUFFIX = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True)
class Asked:
    """What a dialect's caller wants.

    Attributes:
        training_file, validation_file: ids of stored files; where `anywhere` is set also what else
            `sources.open_source` takes.
        hyperparameters: as they were sent; `hyperparameters_field` is where.
        wandb: where its metrics are to be reported.
    """

    dialect: Dialect
    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str | None = None
    seed: int | None = None
    key_id: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters_field: str = "hyperparameters"
    labels: dict[str, str] = field(default_factory=dict)
    anywhere: bool = False
    wandb: Wandb | None = None


@dataclass(frozen=True)
class _Model:
    """The base. `source`: as `DeploymentRow` has it."""

    name: str
    source: str
    facts: Base
    tokens: Tokens


async def create(
    platform: Platform, project: str, asked: Asked, permit: deployments.Permit | None = None
) -> Job:
    """Accepts a fine-tune: from here on it is finished, or fails with a reason.

    Raises:
        ModelNotFound: there is no such base.
        InvalidRequest: a field, or something in the files, is wrong; says which.
        UnsupportedParameter: it cannot be done here.
    """
    field = asked.hyperparameters_field
    wished = parse(_with_seed(asked), field)
    full = wished.method == "full"
    suffix = _check_suffix(asked.suffix)
    if asked.wandb is not None:
        tracking.check(platform.settings, asked.wandb)
    device = await _device(platform, wished, field)
    model = await _model(platform, project, asked.model)
    if permit is not None:
        permit(model.name)
    name = _name(model.name, suffix)
    if full:
        check_whole(model.name, model.facts, device, await platform.store.read(nodes), f"{field}.method")
        check_length(name)
    identity = jobs.new_id(KIND)
    try:
        training, validation, longest = await _read(platform, project, identity, asked, wished, model)
        chosen = recipe.choose(wished, training.rows, longest, model.facts, field)
        if not chosen.truncate:
            for facts, param in ((training.facts, TRAINING), (validation.facts, VALIDATION)):
                if facts is not None:
                    _refuse_long(facts, param, chosen.max_length, model.facts.context_length, field)
        if chosen.patience and not validation.rows:
            raise InvalidRequest(
                f"{field}.early_stopping needs rows to validate, and there are none; give {VALIDATION}",
                param=f"{field}.early_stopping",
            )
        spec = FineTuneSpec(
            name=name,
            adapter_id=tuned_models.new_id() if full else new_id(),
            model=model.name,
            source=model.source,
            training=training_key(platform, identity),
            validation=validation_key(platform, identity) if validation.rows else "",
            device=device,
            recipe=chosen.model_dump(),
            asked={
                "suffix": suffix,
                TRAINING: sources.shown(asked.training_file),
                VALIDATION: asked.validation_file and sources.shown(asked.validation_file),
            },
            wandb=None if asked.wandb is None else asked.wandb.run,
        )
        new = NewJob(
            id=identity,
            kind=KIND,
            dialect=asked.dialect,
            spec=spec.to_json(),
            seconds=SECONDS,
            key_id=asked.key_id,
            model=model.name,
            labels=asked.labels,
            input=sources.taken(asked.training_file),
            secret=b"" if asked.wandb is None else await job_secrets.seal(platform, asked.wandb.key),
        )
        return await jobs.create(platform, project, new)
    except PaddockError:
        await job_blobs.clear(platform, identity)
        raise


async def events_of(platform: Platform, project: str, identity: str) -> list[Event]:
    """The newest `MOST_EVENTS` of a fine-tune's, the oldest of them first.

    Raises:
        NotFound: there is no such fine-tune.
    """

    def work(session: Session) -> list[Event]:
        jobs.find(session, project, identity, kind=KIND)
        return events.latest(session, project, job_id=identity, limit=MOST_EVENTS)

    return await platform.store.read(work)


@dataclass(frozen=True)
class _Rows:
    """`facts`: of the file that they came from, if it is theirs alone or they are its first part."""

    rows: int
    facts: Facts | None


async def _read(
    platform: Platform, project: str, job_id: str, asked: Asked, wished: Hyperparameters, model: _Model
) -> tuple[_Rows, _Rows, int]:
    """Brings the rows into the job's blobs: (to learn, to validate, tokens of the longest).

    Raises:
        InvalidRequest: something in a file is wrong.
    """
    kept = platform.blobs
    async with (
        new_blob(kept, training_key(platform, job_id)) as training,
        new_blob(kept, validation_key(platform, job_id)) as validation,
    ):
        if asked.validation_file is not None:
            learned = await _check(platform, project, asked, TRAINING, training.write, model.tokens)
            measured = await _check(platform, project, asked, VALIDATION, validation.write, model.tokens)
            longest = max(learned.longest, measured.longest)
            return (
                _Rows(learned.rows, learned),
                _Rows(measured.rows, measured),
                longest,
            )
        parts = Divided(wished.seed or 0, training.write, validation.write)
        facts = await _check(platform, project, asked, TRAINING, parts.write, model.tokens)
        await parts.finish()
        return _Rows(parts.training_rows, facts), _Rows(parts.validation_rows, None), facts.longest


async def _check(
    platform: Platform, project: str, asked: Asked, param: str, write: Any, counter: Tokens
) -> Facts:
    text = asked.training_file if param == TRAINING else asked.validation_file
    assert text is not None
    source = await sources.open_source(platform, project, text, param, anywhere=asked.anywhere)
    async with contextlib.aclosing(source.pieces) as pieces:
        facts = await reading.read(pieces, write, lambda count: None, filename=source.name, counter=counter)
    if facts.errors:
        first = facts.errors[0]
        where = f"line {first['line']}: " if first.get("line") else ""
        more = f" ({len(facts.errors) - 1} more)" if len(facts.errors) > 1 else ""
        raise InvalidRequest(f"{param}: {where}{first['message']}{more}", param=param, code=first["code"])
    return facts


async def _model(platform: Platform, project: str, name: str) -> _Model:
    """By a deployment's name, or a known model's.

    Raises:
        ModelNotFound: there is no such model.
        InvalidRequest: it cannot be trained; says why.
    """

    def find(session: Session) -> tuple[str, list[ModelFacts]]:
        if deployments.find_adapter(session, project, name) is not None:
            raise UnsupportedParameter(
                f"model: {name[:140]!r} was fine-tuned itself; give the model that it was made of",
                param="model",
            )
        served = deployments.known(session, project, name)
        source = served.source if served is not None else name
        return source, tuned_models.known(session, project)

    source, tuned = await platform.store.read(find)

    def look(found: ModelFacts) -> _Model:
        weights = resolve(found.source, models=platform.settings.data_dir / "models")
        checkpoint = Weights(found.name, weights.kind, weights.path)
        base = describe_base(checkpoint)
        return _Model(found.name, found.source, base, tokens.load(checkpoint.path))

    try:
        found = await in_thread(lambda: platform.catalogue.find(source, platform.allowed, tuned))
        await tuned_files.bring(platform, found.source)
        return await in_thread(lambda: look(found))
    except StartupError as error:
        raise InvalidRequest(f"model: {error.message}", param="model") from error


async def _device(platform: Platform, wished: Hyperparameters, field: str) -> str:
    known = await platform.store.read(nodes)
    gpus = sorted({gpu.name for node in known for gpu in node.hardware.gpus})
    if wished.device == "cuda" and not gpus:
        cores = sum(node.hardware.cores for node in known)
        raise InvalidRequest(
            f'{field}.device must be "cpu" or "auto": there is no GPU here, but {cores} CPU cores',
            param=f"{field}.device",
        )
    return "cuda" if gpus and wished.device in (None, "auto", "cuda") else "cpu"


def _with_seed(asked: Asked) -> dict[str, Any]:
    given = dict(asked.hyperparameters)
    if asked.seed is not None:
        if "seed" in given:
            where = f"{asked.hyperparameters_field}.seed"
            raise InvalidRequest(f"give seed or {where}, not both", param="seed")
        given["seed"] = asked.seed
    return given


def _check_suffix(suffix: str | None) -> str | None:
    if suffix is not None and not _SUFFIX.fullmatch(suffix):
        raise InvalidRequest(
            f"suffix must be letters, digits and hyphens, not {suffix[:80]!r}", param="suffix"
        )
    return suffix


def _refuse_long(facts: Facts, param: str, max_length: int, context_length: int, field: str) -> None:
    if (wrong := tokens.too_long(facts, max_length, context_length, field)) is not None:
        raise InvalidRequest(f"{param}: {wrong['message']}", param=param, code=wrong["code"])


def _name(model: str, suffix: str | None) -> str:
    now = time.time()
    # As fine as no two that are asked for at once are the same.
    stamp = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{int(now * 1e6) % 1_000_000:06d}"
    return ".".join(part for part in (model, suffix, stamp) if part)
