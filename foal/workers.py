"""Training by several processes on the same weights, each with batches of its own, none waiting for another.

A thread pool waits at every operation for its slowest thread, which on a busy machine wastes half of it. Here
each process has one thread, and updates the shared float32 weights in place whenever it has a gradient; the
updates are one or two steps late at most, which does no harm at this size (Hogwild, Recht et al. 2011).
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, multiprocessing
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from foal import development
from foal.batches import batches

_WARMUP = 100


def train(model: LlamaForCausalLM, folder: Path, options: argparse.Namespace) -> None:
    """Trains `model` in place; `folder` holds its tokenizer."""
    masters = [parameter.detach().float().clone().share_memory_() for parameter in model.parameters()]
    context = multiprocessing.get_context("spawn")
    counts = torch.zeros(2, dtype=torch.long).share_memory_()
    processes = [
        context.Process(target=_work, args=(index, model.config, masters, counts, folder, options))
        for index in range(options.workers)
    ]
    started = time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    _copy(masters, model)
    steps, tokens = counts.tolist()
    print(f"{steps} steps, {tokens:,} tokens, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def _work(
    index: int, config: Any, masters: list[Tensor], counts: Tensor, folder: Path, options: argparse.Namespace
) -> None:
    torch.set_num_threads(1)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    optimizers = _optimizers(model, masters, options)
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    started = reported = time.monotonic()
    mean = 0.0
    for own, (tokens, weights) in enumerate(_stream(tokenizer, index, options), 1):
        minutes = (time.monotonic() - started) / 60
        steps = int(counts[0])
        done = max(steps / options.steps, minutes / options.minutes)
        if done >= 1:
            break
        scale = min(1.0, (steps + 1) / _WARMUP) * _decay(done)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * scale
        _copy(masters, model)
        loss = _loss(model, tokens, weights)
        loss.backward()
        _step(model, masters, optimizers)
        counts += torch.tensor([1, tokens.numel()])
        mean = loss.item() if own == 1 else 0.97 * mean + 0.03 * loss.item()
        if index:
            continue
        if own % 25 == 0:
            rate = int(counts[1]) / 60 / minutes
            left = minutes / done - minutes
            print(f"step {steps}  loss {mean:.4f}  {rate:.0f} tokens/s  {left:.1f} min left", flush=True)
        if time.monotonic() - reported > 60 * options.report_minutes:
            print(development.report(model, tokenizer), flush=True)
            model.save_pretrained(folder)
            reported = time.monotonic()


def _stream(
    tokenizer: PreTrainedTokenizerFast, index: int, options: argparse.Namespace
) -> Iterator[tuple[Tensor, Tensor]]:
    return batches(tokenizer, options.seed * 1000 + index, options.budget)


def _decay(done: float) -> float:
    """Full rate for the first third, then down a cosine to a fiftieth."""
    rest = max(0.0, (done - 0.33) / 0.67)
    return 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * rest))


def _optimizers(
    model: LlamaForCausalLM, masters: list[Tensor], options: argparse.Namespace
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    named = list(zip((name for name, _ in model.named_parameters()), masters, strict=True))
    matrices = [master for name, master in named if master.ndim == 2 and "embed" not in name]
    others = [master for name, master in named if master.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=options.muon_rate, momentum=0.95, weight_decay=0.05),
        torch.optim.AdamW(others, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _loss(model: LlamaForCausalLM, tokens: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy on the weighted tokens alone; right padding needs no mask under causal attention."""
    states = model.model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
    chosen = weights[:, 1:] > 0
    logits = model.lm_head(states[chosen])
    losses = functional.cross_entropy(logits.float(), tokens[:, 1:][chosen], reduction="none")
    weight = weights[:, 1:][chosen]
    return (losses * weight).sum() / weight.sum()


def _step(model: LlamaForCausalLM, masters: list[Tensor], optimizers: list[torch.optim.Optimizer]) -> None:
    for master, parameter in zip(masters, model.parameters(), strict=True):
        master.grad = parameter.grad.float()
        parameter.grad = None
    torch.nn.utils.clip_grad_norm_(masters, 1.0)
    for optimizer in optimizers:
        optimizer.step()


def _copy(masters: list[Tensor], model: LlamaForCausalLM) -> None:
    with torch.no_grad():
        for master, parameter in zip(masters, model.parameters(), strict=True):
            parameter.copy_(master)
