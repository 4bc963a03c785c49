"""Batch completions: asked for, looked at and cancelled. The work itself is a job, which a worker does."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from paddock.errors import Conflict, InvalidRequest, ModelNotFound, UnsupportedParameter
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.gateway.llm_engine.batch_views import view
from paddock.gateway.llm_engine.batch_wish import MODEL, Wished, check_content, refuse_unknown, wished
from paddock.gateway.llm_engine.errors import own_fields
from paddock.gateway.validate import checked, parse_whole
from paddock.gateway.visible import require, visible
from paddock.inference.routing import Directory
from paddock.schemas.jobs import Dialect, Job
from paddock.schemas.llm_engine import (
    CreateBatchCompletionsV1Request,
    CreateBatchCompletionsV2Request,
    UpdateBatchCompletionsV2Request,
)
from paddock.schemas.own import CreateDeployment
from paddock.services import job_blobs, jobs
from paddock.services.batches import places
from paddock.services.batches.places import Source, Target
from paddock.services.batches.spec import KIND, BatchSpec, input_key
from paddock.services.jobs import NewJob
from paddock.services.keys import INFERENCE, Key
from paddock.services.platform import Platform, in_thread
from paddock.services.wishes import known_here, plan_wish
from paddock.store.blobs import new_blob

JSON = dict[str, Any]
Body = CreateBatchCompletionsV1Request | CreateBatchCompletionsV2Request
_V1: TypeAdapter[Body] = TypeAdapter(CreateBatchCompletionsV1Request)
_V2: TypeAdapter[Body] = TypeAdapter(CreateBatchCompletionsV2Request)
_UPDATE = TypeAdapter(UpdateBatchCompletionsV2Request)
_OURS: tuple[Dialect, ...] = ("llm_engine.v1", "llm_engine.v2")
_DEPLOYMENT = TypeAdapter(CreateDeployment)
_EXAMPLE = {
    "content": {"prompts": ["The capital of France is"], "max_new_tokens": 8, "temperature": 0},
    "output_data_path": "capitals.json",
    "model_config": {"model": "paddock/foal"},
}


def batch_routes(platform: Platform, directory: Directory) -> list[Route]:
    """Both versions, which see each other's jobs.

    Args:
        directory: what is served, to find out at once what a batch could not be asked of.
    """
    found: list[Route] = []
    for version, path in ((1, "/v1/llm/batch-completions"), (2, "/v2/batch-completions")):
        found += _Version(platform, directory, version).routes(path)
    return found


class _Version:
    def __init__(self, platform: Platform, directory: Directory, version: int) -> None:
        self._platform = platform
        self._directory = directory
        self._first = version == 1

    def routes(self, path: str) -> list[Route]:
        one = path + "/{job}"
        body = _V1 if self._first else _V2
        return [
            Route(
                "POST", path, self._create, "Complete many prompts.", INFERENCE, body=body, example=_EXAMPLE
            ),
            Route("GET", path, self._list, "All batches, the newest first."),
            Route("GET", one, self._get, "One batch, and how far it is."),
            Route("POST", one, self._update, "Change its priority.", INFERENCE, body=_UPDATE),
            Route("POST", f"{one}/actions/cancel", self._cancel, "Stop it.", INFERENCE),
        ]

    async def _create(self, request: Request) -> Response:
        body, content = self._read(request.body)
        given = body.model_dump(mode="json", exclude_unset=True)
        config = given["model_config"]
        wish = wished(given, config, await self._platform.types())
        replicas = body.data_parallelism or 1
        needs = await self._check_model(request.key, config["model"], wish, replicas)
        identity = jobs.new_id(KIND)
        source = None
        if content is None:
            source = await places.find_input(self._platform, request.project, body.input_data_path or "")
        target = await places.find_output(self._platform, request.project, identity, body.output_data_path)
        spec = BatchSpec(
            input_kind=source.kind if source else "blob",
            input=source.value if source else input_key(self._platform, identity),
            output_kind=target.kind,
            output=target.value,
            window=str(body.max_runtime_sec),
            replicas=replicas,
            wish=wish.fields,
            apart=wish.apart,
            asked={name: value for name, value in given.items() if name not in ("content", "labels")},
        )
        new = NewJob(
            id=identity,
            key_id=request.key.id,
            kind=KIND,
            dialect="llm_engine.v1" if self._first else "llm_engine.v2",
            spec=spec.to_json(),
            seconds=float(body.max_runtime_sec or 0),
            model=config["model"],
            labels={**(config.get("labels") or {}), **body.labels},
            priority=jobs.read_priority(body.priority),
            needs=needs,
            input=source.taken if source else "",
            output=target.taken,
        )
        job = await self._accept(request.project, new, content, source, target)
        return _answer({"job_id": job.id} if self._first else view(job))

    def _read(self, raw: bytes) -> tuple[Body, Any]:
        """The body, and its content, which is looked at on its own.

        Raises:
            InvalidRequest: a field is missing or wrong, or there is not one input.
        """
        try:
            fields = orjson.loads(raw)
        except orjson.JSONDecodeError:
            fields = None
        content = fields.pop("content", None) if isinstance(fields, dict) else None
        body = parse_whole(_V1 if self._first else _V2, raw if content is None else orjson.dumps(fields))
        refuse_unknown(body)
        # The published client sends the first version's labels in the second one too.
        refuse_unknown(body.model_settings, "model_config.", beside=("labels",))
        if (content is None) is (body.input_data_path is None):
            both = "both content and input_data_path are" if content is not None else "neither is"
            raise InvalidRequest(
                f"give the prompts either as content or by input_data_path: {both} given", param="content"
            )
        if content is not None:
            check_content(content, takes_requests=not self._first)
        return body, content

    async def _check_model(self, key: Key, model: str, wish: Wished, replicas: int) -> str:
        """The attached server that the job needs; empty if it needs none.

        Raises:
            InvalidRequest, UnsupportedParameter: the model cannot be asked, or not be brought up.
        """
        if not wish.apart:
            try:
                found = visible(self._directory, key).resolve(model)
            except ModelNotFound:
                pass
            except InvalidRequest as error:
                raise InvalidRequest(error.message, param=MODEL, code=error.code) from None
            else:
                if found.stopped:
                    raise InvalidRequest(
                        f"{MODEL}: {found.name!r} is stopped on purpose: start it first, or ask another",
                        param=MODEL,
                        code="model_stopped",
                    )
                if not found.generates:
                    raise UnsupportedParameter(f"{MODEL}: {found.name!r} makes embeddings only", param=MODEL)
                if found.engine == "attached" and replicas > 1:
                    raise UnsupportedParameter(
                        f"data_parallelism must be 1: {found.name!r} is a server that somebody else runs",
                        param="data_parallelism",
                    )
                return found.name if found.engine == "attached" else ""
        known, tuned = await self._platform.store.read(lambda session: known_here(session, key.project))
        try:
            with own_fields(wish.names):
                asked = checked(
                    _DEPLOYMENT, {**wish.fields, "min_workers": replicas, "max_workers": replicas}
                )
                planned = await in_thread(lambda: plan_wish(self._platform, known, asked, tuned))
        except ModelNotFound as error:
            raise InvalidRequest(error.message, param=MODEL, code=error.code) from None
        require(key, planned.model)
        if not planned.facts["generates"]:
            raise UnsupportedParameter(f"{MODEL}: {planned.model!r} makes embeddings only", param=MODEL)
        return ""

    async def _accept(
        self, project: str, new: NewJob, content: Any, source: Source | None, target: Target
    ) -> Job:
        platform = self._platform

        def check(session: Session) -> None:
            places.check_still_so(session, project, source, target)

        if content is None:
            return await jobs.create(platform, project, new, check)
        async with new_blob(platform.blobs, input_key(platform, new.id)) as writer:
            await writer.write(orjson.dumps(content))
        try:
            return await jobs.create(platform, project, new, check)
        except InvalidRequest:
            await job_blobs.clear(platform, new.id)
            raise

    async def _list(self, request: Request) -> Response:
        page = await jobs.list_page(self._platform, request.project, dialects=_OURS, kind=KIND)
        return _answer({"jobs": [view(job) for job in page.jobs]})

    async def _get(self, request: Request) -> Response:
        job = view(await jobs.get(self._platform, request.project, request.params["job"], _OURS, kind=KIND))
        # The first version's answers are flat; who knows the second looks for `job` here too.
        return _answer({**job, "job": job} if self._first else {"job": job})

    async def _update(self, request: Request) -> Response:
        identity = request.params["job"]
        asked = parse_whole(_UPDATE, _with_id(request.body, identity))
        refuse_unknown(asked)
        if asked.job_id != identity:
            raise InvalidRequest(f"job_id must be {identity!r} as in the path, or left out", param="job_id")
        if asked.priority is None:
            raise InvalidRequest("priority is required: nothing else can be changed", param="priority")
        priority = jobs.read_priority(asked.priority)
        job = await jobs.set_priority(self._platform, request.project, identity, priority, _OURS, kind=KIND)
        return _answer({**view(job), "success": True})

    async def _cancel(self, request: Request) -> Response:
        try:
            await jobs.cancel(self._platform, request.project, request.params["job"], _OURS, kind=KIND)
        except Conflict:
            return _answer({"success": False})
        return _answer({"success": True})


def _with_id(raw: bytes, identity: str) -> bytes:
    """The published client repeats the id in the body; whoever does not need not."""
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    return orjson.dumps({"job_id": identity, **fields}) if isinstance(fields, dict) else raw


def _answer(body: JSON) -> Response:
    return Response(orjson.dumps(body))
