"""Jobs as `BatchCompletionsJob`s; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from paddock.schemas.jobs import Job

JSON = dict[str, Any]
_FAILED = ("failed", "expired")


def view(job: Job) -> JSON:
    """The reference's fields, and beyond them what became of the rows and why it failed."""
    asked = job.spec["asked"]
    return {
        "job_id": job.id,
        "input_data_path": asked.get("input_data_path"),
        "output_data_path": asked["output_data_path"],
        "model_config": asked["model_config"],
        "priority": str(job.priority) if job.priority else asked.get("priority"),
        "status": "failed" if job.state in _FAILED else job.state,
        "created_at": _text(job.created_at),
        "expires_at": _text(job.deadline_at),
        "completed_at": _text(job.finished_at) if job.state == "completed" and job.finished_at else None,
        "metadata": job.labels,
        "request_counts": {"total": job.total, "completed": job.done - job.failed, "failed": job.failed},
        "output_file_id": job.results.get("output_file_id"),
        "message": job.message,
        "reason": job.reason,
        "errors": [error.model_dump() for error in job.errors],
    }


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
