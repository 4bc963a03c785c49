"""Batches of completions: the part of `Completion` that starts jobs and asks after them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.clients.llm_engine.api_engine import connect, fields, segment
from paddock.clients.llm_engine.data_types import (
    BatchCompletionContent,
    BatchCompletionsModelConfig,
    CreateBatchCompletionsV1Request,
    CreateBatchCompletionsV1Response,
    CreateBatchCompletionsV2Request,
    CreateBatchCompletionsV2Response,
    GpuType,
    ToolConfig,
)
from paddock.clients.llm_engine.errors import ValidationError
from paddock.clients.transport import Call

HTTP_TIMEOUT = 60
_V1 = "v1/llm/batch-completions"
_V2 = "v2/batch-completions"


class BatchCompletion:
    """Completions of many prompts by a job, whose output is a file.

    Every method takes `request_headers`, which are sent beside this client's own or in their place, and
    `timeout` in seconds, and raises the errors of `paddock.clients.llm_engine.errors`.
    """

    @classmethod
    def batch_create(
        cls,
        output_data_path: str,
        model_config: BatchCompletionsModelConfig,
        content: BatchCompletionContent | None = None,
        input_data_path: str | None = None,
        data_parallelism: int = 1,
        max_runtime_sec: int = 24 * 3600,
        labels: dict[str, str] | None = None,
        priority: str | None = None,
        use_v2: bool = False,
        tool_config: ToolConfig | None = None,
        cpus: int | float | str | None = None,
        gpus: int | None = None,
        memory: int | float | str | None = None,
        gpu_type: GpuType | str | None = None,
        storage: int | float | str | None = None,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = HTTP_TIMEOUT,
        **kwargs: Any,
    ) -> CreateBatchCompletionsV1Response | CreateBatchCompletionsV2Response:
        """Start a batch of completions; `get_batch_completion` says when it is done.

        Its output is one JSON list in the order of the input: `CompletionOutput`s for prompts, and
        `CompletionV2Response`s or `ChatCompletionV2Response`s for requests of the second version.

        Args:
            output_data_path: where the output goes: the name of a file to be, which `File.list` shows and
                `File.download` reads, or a path or URL that the server may write to.
            model_config: which model, and how its engine runs it.
            content: the prompts; with `use_v2` a list of completion requests or of chat requests instead.
            input_data_path: where the server finds the same as JSON: the ID of an uploaded file, or a path
                or URL that it may read. Either this or `content` must be given.
            data_parallelism: how many replicas to start for the batch, from 1 to 64.
            max_runtime_sec: seconds after which the batch is given up, at most two days.
            labels: the owner's labels, kept as sent; without them those of `model_config`.
            priority: which of the jobs that wait comes first.
            use_v2: whether to use the second version of the API.
            tool_config: a tool to run on the completions.
            cpus: CPU cores of a node.
            gpus: GPUs of a node.
            memory: memory of a node: bytes, or text like "24Gi".
            gpu_type: which GPUs; see `data_types.GpuType`.
            storage: disk space of a node, like memory.
            **kwargs: further fields of the request: `nodes_per_worker`, and what the server knows more.

        Returns:
            An answer with `job_id`; with `use_v2` the whole job.
        """
        if content is None and input_data_path is None:
            raise ValidationError("either content or input_data_path must be given")
        given = {
            "model_config": model_config,
            "content": content,
            "input_data_path": input_data_path,
            "output_data_path": output_data_path,
            "data_parallelism": data_parallelism,
            "max_runtime_sec": max_runtime_sec,
            "labels": labels or _labels(model_config),
            "priority": priority,
            "tool_config": tool_config,
            "cpus": cpus,
            "gpus": gpus,
            "memory": memory,
            "gpu_type": gpu_type,
            "storage": storage,
            **kwargs,
        }
        server = connect(timeout)
        # Sent again, one that had arrived would run twice.
        if use_v2:
            body = fields(CreateBatchCompletionsV2Request, given)
            parse = CreateBatchCompletionsV2Response.model_validate
            return server.request(Call("POST", _V2, parse, body=body, headers=request_headers))
        body = fields(CreateBatchCompletionsV1Request, given)
        parse_v1 = CreateBatchCompletionsV1Response.model_validate
        return server.request(Call("POST", _V1, parse_v1, body=body, headers=request_headers))

    @classmethod
    def get_batch_completion(
        cls,
        job_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = HTTP_TIMEOUT,
    ) -> dict[str, Any]:
        """A batch as it is now, of either version.

        Returns:
            The answer's JSON: `{"job": {"job_id", "status", …}}`, which
            `data_types.GetBatchCompletionV2Response.model_validate` makes an object of.
        """
        path = f"{_V2}/{segment('job_id', job_id)}"
        return connect(timeout).request(Call("GET", path, _object, headers=request_headers, repeatable=True))

    @classmethod
    def cancel_batch_completion(
        cls,
        job_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = HTTP_TIMEOUT,
    ) -> dict[str, Any]:
        """Cancel a batch.

        Returns:
            The answer's JSON: `{"success": true}` if it was.
        """
        path = f"{_V2}/{segment('job_id', job_id)}/actions/cancel"
        return connect(timeout).request(Call("POST", path, _object, body={}, headers=request_headers))


def _labels(model_config: Any) -> Any:
    if isinstance(model_config, Mapping):
        return model_config.get("labels")
    # Only the first version's type has them.
    return getattr(model_config, "labels", None)


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ValueError("it is no JSON object")
    return answer
