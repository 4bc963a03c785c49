"""The models that this machine hosts: each has an engine process, kept running until the server ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from paddock.control.backoff import Backoff
from paddock.control.progress import Progress
from paddock.control.threads import in_thread
from paddock.engines.engine import Engine, EngineOptions
from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.launch import choose_engine, connections
from paddock.engines.llama_cpp.sizing import size_engine
from paddock.errors import PaddockError, StartupError
from paddock.inference.connection import Body
from paddock.inference.pace import Pace
from paddock.inference.routing import Deployment, Replica, Routes
from paddock.inference.upstream import Upstream
from paddock.runners.local import EngineProcess, start_engine
from paddock.services.models import Model, resolve_model
from paddock.settings import Settings

log = logging.getLogger(__name__)

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}


class LocalModels:
    """Starts engines, announces what they can do in `routes`, and starts them again when they die.

    Args:
        announce: is told, for a person, what goes on.
    """

    def __init__(self, settings: Settings, routes: Routes, announce: Callable[[str], None]) -> None:
        self._settings = settings
        self._routes = routes
        self._announce = announce
        self._engine: Engine = choose_engine(settings.llama_server)
        self._keepers: list[asyncio.Task[None]] = []
        self._processes: set[EngineProcess] = set()

    async def start(self, models: Sequence[str]) -> None:
        """Returns once every model answers.

        Raises:
            StartupError: a model cannot be read or its engine does not start; says why.
        """
        hosting = [asyncio.create_task(self._host(text)) for text in dict.fromkeys(models)]
        try:
            await asyncio.gather(*hosting)
        finally:
            # The first failure ends the start; what the others began must be over before it is closed.
            for task in hosting:
                task.cancel()
            await asyncio.gather(*hosting, return_exceptions=True)

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(process.stop() for process in self._processes))

    async def _host(self, text: str) -> None:
        # Downloading and converting block; the server answers /healthz meanwhile.
        model = await in_thread(lambda: resolve_model(text))
        options = await in_thread(lambda: self._prepare(model))
        deployment = Deployment(
            model.name,
            self._engine.name,
            model.name,
            context_length=options.context_length,
            generates=options.generates,
            embeds=options.embeddings,
            sampling=_sampling(model),
        )
        self._routes.add(deployment)
        process = await self._bring_up(deployment, options)
        self._keepers.append(asyncio.create_task(self._keep(deployment, options, process)))

    def _prepare(self, model: Model) -> EngineOptions:
        settings = self._settings
        weights = model.path
        if model.kind == "checkpoint":
            with Progress(f"Converting {model.name}", self._announce) as progress:
                weights = convert(model.path, settings.data_dir / "gguf", settings.weights_type, progress)
        return size_engine(
            weights,
            model.name,
            secrets.token_urlsafe(24),
            context_length=settings.context_length,
            slots=settings.slots,
            threads=settings.threads,
            embeddings=settings.embeddings,
        )

    async def _bring_up(self, deployment: Deployment, options: EngineOptions) -> EngineProcess:
        """An engine that runs, answers and takes the deployment's requests; none is left if it does not."""
        process = await self._launch(options)
        self._processes.add(process)
        try:
            await self._learn(deployment, process, options)
        except PaddockError:
            self._processes.discard(process)
            await process.stop(grace=0)
            raise
        return process

    async def _launch(self, options: EngineOptions) -> EngineProcess:
        log_path = self._settings.data_dir / "logs" / f"{_file_name(options.alias)}.log"
        try:
            return await start_engine(self._engine, options, log_path, self._settings.start_timeout)
        except OSError as error:
            raise StartupError(
                f"cannot write the engine's log {log_path}: {error.strerror or error};"
                " choose another --data-dir"
            ) from error

    async def _learn(self, deployment: Deployment, process: EngineProcess, options: EngineOptions) -> None:
        """Opens the way to a ready engine, and asks it what it can do."""
        upstream = Upstream(
            f"{process.base_url}/v1",
            options.api_key,
            self._settings.request_timeout,
            limit=connections(options),
            closes=True,
        )
        props = await _ask(upstream, b"/props")
        models = await _ask(upstream, b"/v1/models")
        meta = (models.get("data") or [{}])[0].get("meta") or {}
        deployment.tools = bool((props.get("chat_template_caps") or {}).get("supports_tools"))
        deployment.vocabulary = int(meta.get("n_vocab") or 0)
        deployment.pace = Pace(options.slots)
        deployment.replicas = [Replica(upstream)]

    async def _keep(self, deployment: Deployment, options: EngineOptions, process: EngineProcess) -> None:
        """Replaces the engine whenever it ends."""
        backoff = Backoff()
        while True:
            status = await process.wait()
            self._processes.discard(process)
            for replica in deployment.replicas:
                replica.upstream.close()
            deployment.replicas = []
            deployment.problem = f"its engine ended with status {status} and is being started again"
            log.error("the engine of %s ended with status %d%s", deployment.name, status, process.quote_log())
            # What is left of its process group.
            await process.stop(grace=0)
            while True:
                await asyncio.sleep(backoff.next())
                try:
                    process = await self._bring_up(deployment, options)
                    break
                except PaddockError as error:
                    deployment.problem = error.message
                    log.error("the engine of %s does not start: %s", deployment.name, error.message)


async def _ask(upstream: Upstream, path: bytes) -> dict[str, Any]:
    sink = Body()
    await upstream.send(b"GET", path, b"", sink)
    answer = orjson.loads(sink.data) if sink.status == 200 else {}
    return answer if isinstance(answer, dict) else {}


def _sampling(model: Model) -> dict[str, float]:
    """The model's own sampling defaults, under the names that llama.cpp knows."""
    if model.kind != "checkpoint":
        return {}
    with contextlib.suppress(OSError, ValueError):
        config = json.loads((model.path / "generation_config.json").read_text("utf-8"))
        return {
            _SAMPLING[name]: float(config[name])
            for name in _SAMPLING.keys() & config.keys()
            if isinstance(config[name], int | float) and not isinstance(config[name], bool)
        }
    return {}


def _file_name(name: str) -> str:
    return Path("".join(c if c.isalnum() or c in "-_." else "-" for c in name)).name or "model"
