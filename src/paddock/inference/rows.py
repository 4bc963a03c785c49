"""What a batch is made of: rows to ask, and the answers that stand in its output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from paddock.errors import PaddockError
from paddock.inference.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Attributes:
        body: a line of the output, without its end.
        failed: whether it is an error.
        tokens: how much work it was.
    """

    body: bytes
    failed: bool = False
    tokens: int = 0


class Said(NamedTuple):
    """What an endpoint of OpenAI's answered.

    Attributes:
        body: as JSON.
        tokens: of the prompt and the answer together.
    """

    request_id: str
    body: bytes
    tokens: int


AskOpenAI = Callable[[Mapping[str, Any], str, dict[str, Any], Deployment], Awaitable[Said]]
"""What the endpoint (`/v1/chat/completions`) answers to a body, of a batch that was asked for so; raises
`PaddockError` for its errors.
"""


class Rows(Protocol):
    """How one dialect asks a row, and how it words what came of it.

    `spec` is what was asked for, and whose it is (`job`, `project`, `key_id`); `row` a line of the batch,
    `number` its place from 0.
    """

    async def ask(self, spec: Mapping[str, Any], deployment: Deployment, row: bytes, number: int) -> Answer:
        """
        Raises:
            PaddockError: it has no answer; see `error` for how that is worded.
        """
        ...

    def error(self, spec: Mapping[str, Any], row: bytes, number: int, error: PaddockError) -> Answer:
        """What stands in the output in the place of an answer."""
        ...
