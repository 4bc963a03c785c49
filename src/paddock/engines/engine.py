"""What every engine is to the rest: options in, a command line out. And what runners run: programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol


@dataclass(frozen=True)
class EngineOptions:
    """What one engine process serves, and with how much.

    Attributes:
        alias: the `model` in its answers.
        api_key: what a caller must send as bearer token.
        context_length: tokens, for each request.
        slots: requests decoded at once.
        gateways: processes that send requests, each over connections of its own.
        gpus: the GPUs to use, by NVML's index; none: it runs on the CPU.
        batch: tokens of prompts processed in one go, and of the longest text for an embedding.
        embeddings: whether it makes embeddings, of a model that generates from its last token.
        generates: whether it completes text; models made for embeddings do not.
        adapters: LoRA adapters of the model, as GGUF files. A request names one by its position here, and
            uses none unless it does.
    """

    weights: Path
    alias: str
    api_key: str = field(repr=False)
    context_length: int
    slots: int
    threads: int
    batch: int = 256
    embeddings: bool = False
    generates: bool = True
    gateways: int = 1
    gpus: tuple[int, ...] = ()
    adapters: tuple[Path, ...] = ()


@dataclass(frozen=True)
class AdapterFile:
    """A LoRA adapter on the machine that runs its model, as a GGUF file."""

    id: str
    path: Path


@dataclass(frozen=True)
class Launch:
    """A command to run. `env` is added to the runner's own: secrets go there, for any user can read argv."""

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Request:
    """A POST of JSON to an engine."""

    path: str
    body: bytes


class Engine(Protocol):
    """How a program that serves OpenAI HTTP on a port is started.

    It answers `GET /health` with 200 once it can take requests, `GET /v1/models` only to who sends its key,
    and it exits with a reason on its last lines of output when it cannot start, a taken port included.

    Attributes:
        warm_up: asked once before anybody else may, whatever the answer, so that no caller waits for it.
    """

    name: str
    warm_up: ClassVar[Request | None]

    def launch(self, options: EngineOptions, port: int, host: str = "127.0.0.1") -> Launch:
        """The command that serves `options` on `host`:`port`. Starts nothing.

        Raises:
            StartupError: it cannot honour the options; says which.
        """
        ...


@dataclass(frozen=True)
class Site:
    """The machine that a program is prepared on. `data_dir` keeps what is fetched and converted there."""

    data_dir: Path


@dataclass(frozen=True)
class Progress:
    """How far a step of the preparation is, in bytes."""

    step: Literal["fetching", "converting"]
    done: int
    total: int


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Health:
    """How it is seen that a process is ready to answer.

    Attributes:
        alive: a path that answers 200 once requests can be taken.
        known: a path that answers 200 to who sends the key only, so that no stranger on the same port is
            taken for ours.
        warm_up: asked once before anybody else may, whatever the answer.
    """

    api_key: str = field(repr=False)
    alive: str = "/health"
    known: str = "/v1/models"
    warm_up: Request | None = None


class Prepared(Protocol):
    """A program whose files are on this machine, and that knows how much of the machine it takes.

    Attributes:
        title: what is about to run, for a person, without secrets.
        facts: what its owner wants to know, as JSON has it; see the program.
        health: None for a job, which is ready as soon as it runs.
    """

    @property
    def title(self) -> str: ...

    @property
    def facts(self) -> dict[str, Any]: ...

    @property
    def health(self) -> Health | None: ...

    def launch(self, host: str, port: int) -> Launch:
        """The command to run; an engine listens on `host`:`port`. Starts nothing.

        Raises:
            StartupError: it cannot run as it was wished; says why.
        """
        ...

    def explain(self, lines: Sequence[str]) -> str:
        """Why it did not start, from the last lines that it wrote; empty if they do not tell."""
        ...


class Program(Protocol):
    """What a runner runs: an engine or a job. It is pickled on its way to the machine that runs it, so it
    says *what* it needs by name, and never where that lies.

    Attributes:
        name: the kind of program, for a person: `llama.cpp`.
    """

    @property
    def name(self) -> str: ...

    def prepare(self, site: Site, report: Report) -> Prepared:
        """Fetches, converts and measures, on the machine that will run it. Blocks, in a thread of its own.

        `report` may be called from any thread; what it raises must end the preparation, with nothing
        half-made left where it would be taken for whole.

        Raises:
            StartupError: it cannot run there; says why.
        """
        ...
