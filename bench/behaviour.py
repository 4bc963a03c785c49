"""How the Python stub engine behaves, and misbehaves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from bench import answers


@dataclass
class Behaviour:
    """How completions are answered; models and health are always answered well (but see `key`).

    Delays are in seconds. Faults are tried in the order of their fields; without any the answer is whole.
    """

    chunks: int = answers.CHUNKS  # tokens of a streamed answer
    coalesce: int = 1  # events in one write
    first_delay: float = 0.0  # before the first byte
    chunk_delay: float = 0.0  # between two writes of a stream
    key: str | None = None  # else 401, whatever the path
    times: int | None = (
        None  # the faults below hold for so many completions only, then all is well; None: for all
    )
    hang: bool = False  # never answers
    drop: bool = False  # closes the connection instead of answering
    status: int = 200  # another one is answered with an error body
    garbage: str = ""  # `http`: not HTTP; `json`: 200 with HTML; `event`: one event of the stream is not JSON
    die_after: int | None = None  # closes the connection after so many events, or within a plain answer

    def now(self) -> Behaviour:
        """What holds for one more completion: faults limited by `times` wear off."""
        if self.times is None:
            return self
        if self.times == 0:
            return dataclasses.replace(self, hang=False, drop=False, status=200, garbage="", die_after=None)
        self.times -= 1
        return dataclasses.replace(self)
