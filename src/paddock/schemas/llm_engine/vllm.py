"""The engine arguments that an LLM Engine endpoint may be given, by the names vLLM uses for them.

As in the published client (scale-llm-engine 0.0.0b45), which took them from vLLM 0.6.4.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Any

from pydantic import Field

from paddock.schemas.llm_engine.core import Bool, Float, Int, RequestWire


class VLLMModelConfig(RequestWire):
    """How the engine loads a model and runs it."""

    max_model_len: Int | None = Field(
        default=None, description="The context's length in tokens; unset, the model's own."
    )
    max_num_seqs: Int | None = Field(default=None, description="How many sequences run at once at most.")
    max_num_batched_tokens: Int | None = Field(
        default=None, description="How many tokens one step handles at most."
    )
    max_seq_len_to_capture: Int | None = Field(
        default=None, description="The longest sequence that CUDA graphs cover."
    )
    enforce_eager: Bool | None = Field(default=None, description="Whether to do without CUDA graphs.")
    trust_remote_code: Bool | None = Field(
        default=False, description="Whether code that comes with the weights may run."
    )
    pipeline_parallel_size: Int | None = Field(default=None, description="How many pipeline stages.")
    tensor_parallel_size: Int | None = Field(default=None, description="How many tensor-parallel shards.")
    quantization: str | None = Field(default=None, description="How the weights are quantized.")
    quantization_param_path: str | None = Field(default=None, description="Scaling factors of the KV cache.")
    disable_log_requests: Bool | None = Field(default=None, description="Whether requests go unlogged.")
    chat_template: str | None = Field(default=None, description="A Jinja template; unset, the checkpoint's.")
    tool_call_parser: str | None = Field(default=None, description="What finds tool calls in the text.")
    enable_auto_tool_choice: Bool | None = Field(
        default=None, description="Whether the model may choose tools by itself."
    )
    load_format: str | None = Field(default=None, description="The weights' file format, e.g. safetensors.")
    config_format: str | None = Field(default=None, description="The format of the model's configuration.")
    tokenizer: str | None = Field(default=None, description="The tokenizer's name or path.")
    tokenizer_mode: str | None = Field(default=None, description="auto, slow or mistral.")
    tokenizer_revision: str | None = Field(default=None, description="Which version of the tokenizer.")
    skip_tokenizer_init: Bool | None = Field(default=None, description="Whether to do without a tokenizer.")
    limit_mm_per_prompt: str | None = Field(
        default=None, description="How many images and the like one prompt may hold."
    )
    mm_processor_kwargs: dict[str, Any] | None = Field(
        default=None, description="Arguments of the processor of images and the like."
    )
    dtype: str | None = Field(default=None, description="The type of weights and activations.")
    seed: Int | None = Field(default=None, description="The seed of the random numbers.")
    revision: str | None = Field(default=None, description="Which version of the model.")
    code_revision: str | None = Field(default=None, description="Which version of the model's code.")
    rope_scaling: dict[str, Any] | None = Field(
        default=None, description="How rotary position embeddings are scaled."
    )
    disable_sliding_window: Bool | None = Field(default=None, description="Whether to do without it.")
    served_model_name: str | None = Field(default=None, description="The name in metrics and answers.")
    override_neuron_config: dict[str, Any] | None = Field(
        default=None, description="Settings of Neuron devices."
    )
    block_size: Int | None = Field(default=None, description="Tokens in a block of the KV cache.")
    gpu_memory_utilization: Float | None = Field(
        default=None, description="The share of a GPU's memory to use."
    )
    swap_space: Float | None = Field(default=None, description="CPU swap space of a GPU, in GiB.")
    cache_dtype: str | None = Field(default=None, description="The type of the KV cache.")
    num_gpu_blocks_override: Int | None = Field(
        default=None, description="How many blocks of KV cache, instead of what was measured."
    )
    enable_prefix_caching: Bool | None = Field(
        default=None, description="Whether shared beginnings of prompts are kept."
    )


class VLLMEngineAdditionalArgs(RequestWire):
    """What the engine's process is told beside its own arguments."""

    max_gpu_memory_utilization: Float | None = Field(
        default=None, description="An older name of `gpu_memory_utilization`."
    )
    attention_backend: str | None = Field(default=None, description="Which implementation of attention.")


class VLLMEndpointAdditionalArgs(VLLMModelConfig, VLLMEngineAdditionalArgs):
    """All engine arguments that the request for an endpoint takes."""
