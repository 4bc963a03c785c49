"""Jobs as Paddock's own API shows them. Times are seconds since 1970."""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JobState = Literal["queued", "running", "completed", "failed", "cancelled", "expired"]
JobPhase = Literal["", "validating", "working", "finishing"]
Dialect = Literal["openai", "llm_engine.v1", "llm_engine.v2"]
LEAST_PRIORITY, MOST_PRIORITY = -1000, 1000


class JobError(BaseModel):
    """Something that is wrong with a job's input."""

    model_config = ConfigDict(defer_build=True)

    code: str
    message: str
    param: str | None = None
    line: int | None = Field(default=None, description="The line of the input, from 1.")


def problem(code: str, message: str, *, param: str | None = None, line: int | None = None) -> dict[str, Any]:
    """A `JobError` as rows and answers have it."""
    return JobError(code=code, message=message, param=param, line=line).model_dump()


class Job(BaseModel):
    """Long work that was accepted: it is finished, or fails with a reason, whatever happens meanwhile."""

    model_config = ConfigDict(defer_build=True)

    id: str
    project: str
    key_id: str = Field(default="", description="Of the key that asked for it; empty without one.")
    kind: str = Field(description="What it is: `batch`, or `ft` for a fine-tune.")
    dialect: Dialect = Field(description="The one that it was asked for in.")
    state: JobState
    phase: JobPhase = Field(description="Of a running one: what it is at.")
    model: str = Field(description="Empty while its input has not been read.")
    priority: int = Field(description="Higher goes first.")
    labels: dict[str, str]
    input: str = Field(description="`file:ID`, or where it comes from.")
    output: str = Field(description="`name:NAME`, or where it goes.")
    total: int = Field(
        description="Rows of its input, 0 while that has not been read; of a fine-tune its steps."
    )
    done: int = Field(description="Rows that are answered, with an error too; steps that were taken.")
    failed: int = Field(description="Rows that were answered with an error.")
    message: str = Field(description="What goes on, for a person.")
    reason: str = Field(description="Why it failed, was cancelled or expired.")
    errors: list[JobError] = Field(description="What is wrong with its input.")
    results: dict[str, str] = Field(
        description="What came of it: output_file_id, error_file_id, output_path, fine_tuned_model."
    )
    attempts: int = Field(description="How often a worker took it up.")
    worker: str = Field(description="Who works at it.")
    cancel_requested_at: float | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    deadline_at: float = Field(description="When it is given up if it is not finished.")
    times: dict[str, float] = Field(description="When it came to each phase and state.")
    spec: dict[str, Any] = Field(exclude=True, description="What was asked for.")

    @property
    def unfinished(self) -> bool:
        return self.finished_at is None
