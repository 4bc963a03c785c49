"""The loss of a batch: cross entropy on what is learned, with logits for nothing else where possible."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from paddock.errors import JobFailed
from paddock.training.model import Learner
from paddock.training.packing import Batch

_PLAIN_HEAD = {
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "SmolLM3ForCausalLM",
}
"""Whose logits are what the output layer says, and whose attention is causal without a mask."""
_LARGEST_LOGITS = 2**28
"""Numbers; more of them are calculated in chunks, and again for the gradient."""


def has_plain_head(base: Any) -> bool:
    return type(base).__name__ in _PLAIN_HEAD


def check_packing(base: Any) -> None:
    """
    Raises:
        JobFailed: bad_model: rows that share a line would see each other in it.
    """
    if not has_plain_head(base):
        raise JobFailed(
            f"packing is not possible with a {type(base).__name__}; set packing to false", code="bad_model"
        )


def summed_loss(learner: Learner, batch: Batch) -> Tensor:
    """() the sum over the learned tokens of the batch, in nats, float32."""
    targets, chosen = batch.tokens[:, 1:], batch.learned[:, 1:]
    with learner.mixed():
        if not has_plain_head(learner.base):
            output = learner.model(
                input_ids=batch.tokens, attention_mask=batch.present.long(), use_cache=False
            )
            return _cross_entropy(output.logits[:, :-1][chosen], targets[chosen])
        # What is padded at the right is seen by nothing that counts: causal attention needs no mask for it.
        states = learner.base.model(
            input_ids=batch.tokens[:, :-1],
            position_ids=None if batch.positions is None else batch.positions[:, :-1],
            use_cache=False,
        ).last_hidden_state[chosen]
        head = learner.base.get_output_embeddings()
        return _through(head, states, targets[chosen], learner.vocabulary)


def _through(head: Any, states: Tensor, targets: Tensor, vocabulary: int) -> Tensor:
    most = max(1, _LARGEST_LOGITS // vocabulary)
    if len(states) <= most:
        return _cross_entropy(head(states), targets)
    return torch.stack(
        [
            checkpoint(lambda some, wanted: _cross_entropy(head(some), wanted), *pair, use_reentrant=False)
            for pair in zip(states.split(most), targets.split(most), strict=True)
        ]
    ).sum()


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.float(), targets, reduction="sum")
