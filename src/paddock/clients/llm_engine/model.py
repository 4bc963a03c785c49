"""Model endpoints: create, get, list, update and delete; and the files of models."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from paddock.clients.llm_engine.api_engine import connect, fields
from paddock.clients.llm_engine.data_types import (
    CreateLLMEndpointRequest,
    CreateLLMEndpointResponse,
    DeleteLLMEndpointResponse,
    GetLLMEndpointResponse,
    ListLLMEndpointsResponse,
    LLMInferenceFramework,
    LLMSource,
    ModelDownloadRequest,
    ModelDownloadResponse,
    ModelEndpointType,
    PostInferenceHooks,
    Quantization,
    UpdateLLMEndpointRequest,
    UpdateLLMEndpointResponse,
)
from paddock.clients.llm_engine.errors import ValidationError
from paddock.clients.transport import Call

DEFAULT_TIMEOUT = 10
_PATH = "v1/llm/model-endpoints"


class Model:
    """The models that the server has, as endpoints that are created and changed.

    Every method takes `request_headers`, which are sent beside this client's own or in their place, and
    `timeout` in seconds, and raises the errors of `paddock.clients.llm_engine.errors`.
    """

    @classmethod
    def create(
        cls,
        name: str,
        model: str,
        inference_framework_image_tag: str = "latest",
        source: LLMSource | str = LLMSource.HUGGING_FACE,
        inference_framework: LLMInferenceFramework | str = LLMInferenceFramework.VLLM,
        num_shards: int = 1,
        quantize: Quantization | str | None = None,
        checkpoint_path: str | None = None,
        max_model_len: int | None = None,
        cpus: int | float | str | None = None,
        memory: int | float | str | None = None,
        storage: int | float | str | None = None,
        gpus: int | None = None,
        nodes_per_worker: int = 1,
        min_workers: int = 0,
        max_workers: int = 1,
        per_worker: int = 2,
        endpoint_type: ModelEndpointType | str = ModelEndpointType.STREAMING,
        gpu_type: str | None = None,
        high_priority: bool | None = False,
        post_inference_hooks: builtins.list[PostInferenceHooks | str] | None = None,
        default_callback_url: str | None = None,
        public_inference: bool | None = True,
        labels: dict[str, str] | None = None,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        **extra_kwargs: Any,
    ) -> CreateLLMEndpointResponse:
        """Create a model endpoint; `get` says when it is ready.

        Args:
            name: the endpoint's name, which completions ask for.
            model: the model that it serves.
            inference_framework_image_tag: the inference framework's version.
            source: where the model comes from.
            inference_framework: what runs the model.
            num_shards: how many GPUs to spread the model over.
            quantize: how to quantize the model.
            checkpoint_path: where to load the weights from.
            max_model_len: the context's length in tokens; None takes the model's own.
            cpus: CPU cores of a worker.
            memory: memory of a worker: bytes, or text like "24Gi".
            storage: disk space of a worker, likewise.
            gpus: GPUs of a worker.
            nodes_per_worker: how many machines make a worker.
            min_workers: how many workers there are at least; with 0 an idle endpoint sleeps.
            max_workers: how many workers there are at most.
            per_worker: how many requests at once a worker is meant to have.
            endpoint_type: only `streaming` is known.
            gpu_type: which GPUs; see `data_types.GpuType`.
            high_priority: whether it may start on what is kept ready for that.
            post_inference_hooks: what to do after an inference; only `callback` is known.
            default_callback_url: the URL that this hook calls.
            public_inference: whether others than the owner may ask for completions.
            labels: the owner's labels, kept as sent.
            **extra_kwargs: further fields of `data_types.CreateLLMEndpointRequest`.
        """
        given = {
            "name": name,
            "model_name": model,
            "inference_framework_image_tag": inference_framework_image_tag,
            "source": source,
            "inference_framework": inference_framework,
            "num_shards": num_shards,
            "quantize": quantize,
            "checkpoint_path": checkpoint_path,
            "max_model_len": max_model_len,
            "cpus": cpus,
            "memory": memory,
            "storage": storage,
            "gpus": gpus,
            "nodes_per_worker": nodes_per_worker,
            "min_workers": min_workers,
            "max_workers": max_workers,
            "per_worker": per_worker,
            "endpoint_type": endpoint_type,
            "gpu_type": gpu_type,
            "high_priority": high_priority,
            "post_inference_hooks": post_inference_hooks,
            "default_callback_url": default_callback_url,
            "public_inference": public_inference,
            "labels": labels or {},
            # Other servers require it.
            "metadata": {},
            **extra_kwargs,
        }
        body = fields(CreateLLMEndpointRequest, given)
        parse = CreateLLMEndpointResponse.model_validate
        return connect(timeout).request(Call("POST", _PATH, parse, body=body, headers=request_headers))

    @classmethod
    def get(
        cls,
        model: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> GetLLMEndpointResponse:
        """The model endpoint named `model`: its status, what it serves and, in `spec`, its details."""
        parse = GetLLMEndpointResponse.model_validate
        call = Call("GET", _path(model), parse, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)

    @classmethod
    def list(
        cls,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> ListLLMEndpointsResponse:
        """All model endpoints that may be asked for completions."""
        parse = ListLLMEndpointsResponse.model_validate
        call = Call("GET", _PATH, parse, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)

    @classmethod
    def update(
        cls,
        name: str,
        model: str | None = None,
        inference_framework_image_tag: str | None = None,
        source: LLMSource | str | None = None,
        num_shards: int | None = None,
        quantize: Quantization | str | None = None,
        checkpoint_path: str | None = None,
        cpus: int | float | str | None = None,
        memory: int | float | str | None = None,
        storage: int | float | str | None = None,
        gpus: int | None = None,
        min_workers: int | None = None,
        max_workers: int | None = None,
        per_worker: int | None = None,
        endpoint_type: ModelEndpointType | str | None = None,
        gpu_type: str | None = None,
        high_priority: bool | None = None,
        post_inference_hooks: builtins.list[PostInferenceHooks | str] | None = None,
        default_callback_url: str | None = None,
        public_inference: bool | None = None,
        labels: dict[str, str] | None = None,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        **extra_kwargs: Any,
    ) -> UpdateLLMEndpointResponse:
        """Change the model endpoint `name`.

        The arguments mean what they mean to `create`, and what is None stays as it is. `extra_kwargs` are
        further fields of `data_types.UpdateLLMEndpointRequest`.
        """
        given = {
            "model_name": model,
            "inference_framework_image_tag": inference_framework_image_tag,
            "source": source,
            "num_shards": num_shards,
            "quantize": quantize,
            "checkpoint_path": checkpoint_path,
            "cpus": cpus,
            "memory": memory,
            "storage": storage,
            "gpus": gpus,
            "min_workers": min_workers,
            "max_workers": max_workers,
            "per_worker": per_worker,
            "endpoint_type": endpoint_type,
            "gpu_type": gpu_type,
            "high_priority": high_priority,
            "post_inference_hooks": post_inference_hooks,
            "default_callback_url": default_callback_url,
            "public_inference": public_inference,
            "labels": labels,
            **extra_kwargs,
        }
        body = fields(UpdateLLMEndpointRequest, given)
        parse = UpdateLLMEndpointResponse.model_validate
        # Wishing for the same twice changes nothing; asking twice for new workers rolls twice.
        repeatable = not body.get("force_bundle_recreation")
        call = Call("PUT", _path(name), parse, body=body, headers=request_headers, repeatable=repeatable)
        return connect(timeout).request(call)

    @classmethod
    def delete(
        cls,
        model_endpoint_name: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> DeleteLLMEndpointResponse:
        """Delete the model endpoint `model_endpoint_name`."""
        parse = DeleteLLMEndpointResponse.model_validate
        # Sent again, one that had worked would be answered by "there is no such model".
        call = Call("DELETE", _path(model_endpoint_name), parse, headers=request_headers)
        return connect(timeout).request(call)

    @classmethod
    def download(
        cls,
        model_name: str,
        download_format: str = "hugging_face",
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> ModelDownloadResponse:
        """Where to download the files of a fine-tuned model.

        Args:
            model_name: what `FineTune.get` calls `fine_tuned_model`.
            download_format: how the files are to be laid out.

        Returns:
            An answer with `urls`: the URL of each file by its name. They need no key, and stop
            working after a while, by the reference after an hour.
        """
        body = fields(ModelDownloadRequest, {"model_name": model_name, "download_format": download_format})
        parse = ModelDownloadResponse.model_validate
        path = f"{_PATH}/download"
        call = Call("POST", path, parse, body=body, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)


def _path(name: Any) -> str:
    # A dot alone would climb in the path, and no name at all would mean every endpoint.
    if not isinstance(name, str) or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValidationError(f"the name of a model endpoint must be like foal or org/foal, not {name!r}")
    return f"{_PATH}/{quote(name)}"
