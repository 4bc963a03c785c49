"""The base model, ready to be trained: where it lies, in which numbers, and what of it is learned."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from paddock.errors import JobFailed
from paddock.schemas.training import Recipe, Task
from paddock.training.failures import disk_full, out_of_memory

_MASTER_BYTES = 18
"""Of a parameter trained in float32: weight, gradient, two moments, and a bfloat16 copy to calculate with."""


@dataclass(frozen=True)
class Learner:
    """
    Attributes:
        model: what is trained: with LoRA PEFT's model, else the base itself.
        base: the causal language model within it.
        arithmetic: of matrix products.
        numbers: the same for a person.
    """

    model: Any
    base: Any
    device: torch.device
    arithmetic: torch.dtype
    numbers: str

    @property
    def trainable(self) -> dict[str, Tensor]:
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    @property
    def vocabulary(self) -> int:
        return int(self.base.config.get_text_config().vocab_size)

    def mixed(self) -> Any:
        """Context in which products are taken in bfloat16 whatever the weights are in."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.arithmetic is torch.bfloat16
        )


def device_of(name: str) -> torch.device:
    """
    Raises:
        JobFailed: no_device.
    """
    kind, _, index = name.partition(":")
    if name == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or (index and not index.isdigit()):
        raise JobFailed(f"device must be cpu, cuda or cuda:0, not {name!r}", code="no_device")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= found:
        raise JobFailed(f"there is no device {name!r}: this process sees {found} GPUs", code="no_device")
    device = torch.device("cuda", int(index or 0))
    torch.cuda.set_device(device)
    return device


def load_tokenizer(base: str) -> Any:
    """
    Raises:
        JobFailed: bad_model.
    """
    try:
        return AutoTokenizer.from_pretrained(base, local_files_only=True)
    except Exception as error:
        raise _unreadable(base, error) from error


def load(task: Task, device: torch.device) -> Learner:
    """
    Raises:
        JobFailed: bad_model: it cannot be read, is incomplete, or has no layers of the names that LoRA wants.
    """
    arithmetic = _arithmetic(device)
    if task.recipe.method == "lora":
        base = _read(task.base, arithmetic).to(device)
        model = _with_lora(base, task)
        numbers = "bfloat16" if arithmetic is torch.bfloat16 else "float32"
        return Learner(model, base, device, arithmetic, numbers)
    base = _read(task.base, "auto")
    masters = arithmetic is torch.float32 or _masters_fit(base.num_parameters(), device)
    base = base.to(device, torch.float32 if masters else torch.bfloat16)
    numbers = "bfloat16" if not masters else "float32"
    if masters and arithmetic is torch.bfloat16:
        numbers = "bfloat16, weights kept in float32"
    return Learner(base, base, device, arithmetic, numbers)


def _arithmetic(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    # oneDNN also takes bfloat16 where the processor has to emulate it, which is slower than float32.
    x86 = platform.machine() in ("x86_64", "AMD64")
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() if x86 else True
    return torch.bfloat16 if native and torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def _masters_fit(parameters: int, device: torch.device) -> bool:
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # A part is left for activations.
    return bool(parameters * _MASTER_BYTES < 0.7 * free)


def _read(base: str, dtype: torch.dtype | str) -> Any:
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        if out_of_memory(error) or disk_full(error):
            raise
        raise _unreadable(base, error) from error
    if lacking := sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]])):
        raise JobFailed(
            f"the model in {base} is incomplete: {len(lacking)} tensors are missing or of another shape,"
            f" such as {lacking[0]}",
            code="bad_model",
        )
    model.config.use_cache = False
    return model


def _unreadable(base: str, error: Exception) -> JobFailed:
    return JobFailed(f"the model in {base} cannot be read: {type(error).__name__}: {error}", code="bad_model")


def _with_lora(base: Any, task: Task) -> Any:
    from peft import LoraConfig, get_peft_model  # A full fine-tune can do without its import.

    recipe = task.recipe
    _check_targets(base, recipe)
    alpha: Any = recipe.lora_alpha
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora_rank,
        lora_alpha=int(alpha) if alpha.is_integer() else alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=list(recipe.lora_targets) or "all-linear",
        bias="none",
    )
    try:
        model = get_peft_model(base, config)
    except ValueError as error:
        raise JobFailed(f"LoRA does not fit the model: {error}", code="bad_model") from error
    model.peft_config["default"].base_model_name_or_path = task.base_name
    for layer in model.modules():
        if hasattr(layer, "cast_input_dtype_enabled"):
            # Autocast does that; PEFT's own cast would take the products in float32.
            layer.cast_input_dtype_enabled = False
    return model


def _check_targets(base: Any, recipe: Recipe) -> None:
    """PEFT refuses names only when it finds none of them."""
    names = [name for name, module in base.named_modules() if isinstance(module, torch.nn.Linear)]
    for target in recipe.lora_targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in names}))
            raise JobFailed(
                f"lora_targets: the model has no linear layer {target!r}; it has {known}", code="bad_model"
            )
