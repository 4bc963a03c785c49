"""What an endpoint's vLLM arguments mean to llama.cpp: honoured, without effect, or refused; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.errors import InvalidRequest, UnsupportedParameter

JSON = dict[str, Any]
WEIGHT_TYPES = ("F16", "BF16", "Q8_0")
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "half": "F16"}
_KNOWN_QUANTIZATIONS = ("bitsandbytes", "awq")

# Each with the values that change nothing, and why others cannot be honoured.
_ONLY: dict[str, tuple[tuple[Any, ...], str]] = {
    "pipeline_parallel_size": ((1,), "a worker is one process on one machine"),
    "load_format": (("auto", "safetensors", "gguf"), "weights are read from safetensors or GGUF"),
    "config_format": (("auto", "hf"), "models are described by their config.json"),
    "tokenizer_mode": (("auto", "slow", "mistral"), "llama.cpp has a tokenizer of its own"),
    "skip_tokenizer_init": ((False,), "prompts are texts"),
    "cache_dtype": (("auto",), "the attention cache has 16 bits"),
    "disable_sliding_window": ((False,), "a model attends as it was made to"),
    "tokenizer": ((), "a model's own tokenizer is used"),
    "tokenizer_revision": ((), "a model's own tokenizer is used"),
    "revision": ((), "say it in model_name, as org/name@revision"),
    "code_revision": ((), "no code that comes with a model is run"),
    "quantization_param_path": ((), "the attention cache has 16 bits"),
    "rope_scaling": ((), "a model is served with the scaling that its config.json says"),
    "override_neuron_config": (({},), "there are no Neuron devices"),
    "mm_processor_kwargs": (({},), "models read text only"),
    "seed": ((0,), "say it with each request to v2, as seed"),
    "chat_template": ((), "chats are rendered by the model's own template"),
    "chat_template_override": ((), "chats are rendered by the model's own template"),
}
# The rest of the reference's arguments tune vLLM, or its log: whatever they say, answers are the same.


def refuse_engine_fields(asked: Mapping[str, Any]) -> None:
    """
    Raises:
        UnsupportedParameter: an argument would change what the endpoint does, and cannot be honoured.
    """
    for name, (values, why) in _ONLY.items():
        if name in asked and asked[name] not in values:
            right = f"must be {values[0]!r} or left out" if values else "cannot be honoured"
            raise UnsupportedParameter(f"{name} {right}: {why}", param=name)
    served = asked.get("served_model_name")
    if served is not None and served not in (asked.get("name"), asked.get("model_name")):
        raise UnsupportedParameter(
            "served_model_name must be the endpoint's name or left out: it answers to no other",
            param="served_model_name",
        )


def weights_type(asked: Mapping[str, Any]) -> str | None:
    """Which type the weights are loaded in, by `quantize`, `quantization` or `dtype`; None for their own.

    Raises:
        InvalidRequest: there is no such type, or they contradict each other.
        UnsupportedParameter: llama.cpp cannot load weights so.
    """
    found = {}
    for name in ("quantize", "quantization"):
        if name in asked:
            found[name] = _quantized(asked[name], name)
    dtype = asked.get("dtype", "auto")
    if dtype != "auto":
        if dtype not in _DTYPES:
            raise UnsupportedParameter(
                f"dtype must be auto, {' or '.join(_DTYPES)}, not {str(dtype)[:40]!r}", param="dtype"
            )
        found["dtype"] = _DTYPES[dtype]
    if len(set(found.values())) > 1:
        raise InvalidRequest(
            f"{' and '.join(found)} contradict each other: weights are loaded in one type",
            param=next(iter(found)),
        )
    return next(iter(found.values()), None)


def _quantized(value: Any, name: str) -> str:
    if value in WEIGHT_TYPES:
        return str(value)
    possible = f"leave it out for the checkpoint's own type, or give {', '.join(WEIGHT_TYPES[:-1])} or Q8_0"
    if value in _KNOWN_QUANTIZATIONS:
        raise UnsupportedParameter(f"{name} {value} cannot be done by llama.cpp: {possible}", param=name)
    raise InvalidRequest(f"{name} {str(value)[:40]!r} is not known: {possible}", param=name)
