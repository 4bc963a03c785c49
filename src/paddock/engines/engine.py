"""What every engine is to the rest: options in, a command line out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol


@dataclass(frozen=True)
class EngineOptions:
    """What one engine process serves, and with how much.

    Attributes:
        alias: the `model` in its answers.
        api_key: what a caller must send as bearer token.
        context_length: tokens, for each request.
        slots: requests decoded at once.
        batch: tokens of prompts processed in one go, and of the longest text for an embedding.
        embeddings: whether it makes embeddings, of a model that generates from its last token.
        generates: whether it completes text; models made for embeddings do not.
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
    """A program that serves OpenAI HTTP on a loopback port.

    It answers `GET /health` with 200 once it can take requests, `GET /v1/models` only to who sends its key,
    and it exits with a reason on its last lines of output when it cannot start, a taken port included.

    Attributes:
        warm_up: asked once before anybody else may, whatever the answer, so that no caller waits for it.
    """

    name: str
    warm_up: ClassVar[Request | None]

    def launch(self, options: EngineOptions, port: int) -> Launch:
        """The command that serves `options` on 127.0.0.1:`port`. Starts nothing."""
        ...
