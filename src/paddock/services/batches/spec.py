"""What was asked for with a batch, as the job keeps it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from paddock.services.job_blobs import folder
from paddock.services.platform import Platform

JSON = dict[str, Any]
KIND = "batch"
InputKind = Literal["file", "blob", "path", "s3"]
OutputKind = Literal["files", "name", "path", "s3"]


@dataclass(frozen=True)
class BatchSpec:
    """
    Attributes:
        endpoint: what each row is sent to: `/v1/chat/completions`, `/v1/completions` or `/v1/embeddings` of
            OpenAI's; empty for LLM Engine's, whose rows tell themselves.
        input_kind, input: where the rows come from: the id of a stored file, the key of a blob, a path of the
            server's disk, or an `s3://` address.
        output_kind, output: where the answers go: to new files as OpenAI has them, a stored file of this
            name, a path, or an `s3://` address.
        window: `completion_window` or `max_runtime_sec`, as it was given.
        replicas: how many are to work at it; 0 takes what there is, at least one.
        wish: what the model is brought up with if it must be brought up: fields of `CreateDeployment`.
        apart: whether the job has replicas of its own in any case, since the wish says more than a name.
        asked: what the dialect wants to show again.
    """

    input_kind: InputKind
    input: str
    output_kind: OutputKind
    output: str
    endpoint: str = ""
    window: str = ""
    replicas: int = 0
    wish: JSON = field(default_factory=dict)
    apart: bool = False
    asked: JSON = field(default_factory=dict)

    def to_json(self) -> JSON:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: JSON) -> BatchSpec:
        return cls(**raw)


def input_key(platform: Platform, job_id: str) -> str:
    """The blob of an input that came with the request."""
    return f"{folder(platform, job_id)}/input"


def rows_key(platform: Platform, job_id: str, fence: int) -> str:
    """The blob of the rows, one a line, where the input is no such thing itself."""
    return f"{folder(platform, job_id)}/rows-{fence}"


def segment_key(platform: Platform, job_id: str, fence: int, first: int) -> str:
    """Workers write to different ones, so that one that was taken for dead spoils nothing."""
    return f"{folder(platform, job_id)}/segments/{first}-{fence}"
