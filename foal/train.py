"""Trains the model from nothing: `python -m foal.train` from the root of the repository, within an hour on two cores."""

import argparse
import math
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from foal import development
from foal.batches import batches
from foal.corpus import END, START, STOP
from foal.tokenizer import learn

DESTINATION = Path(__file__).parents[1] / "src" / "paddock" / "bundled" / "foal"
_WARMUP = 60


def main() -> None:
    options = _options()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    started = time.monotonic()
    if options.resume:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.resume)
        model = LlamaForCausalLM.from_pretrained(options.resume, dtype=torch.bfloat16)
    else:
        tokenizer = learn(options.seed, 30_000)
        model = _model(tokenizer, options.layers, options.heads)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)
    train(model, tokenizer, options, started)
    save(model, tokenizer, options.output)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=50.0, help="how long to train")
    parser.add_argument("--steps", type=int, default=None, help="how many steps to train, whatever the time")
    parser.add_argument("--budget", type=int, default=3072, help="tokens in a batch, padding included")
    parser.add_argument("--rate", type=float, default=2e-3, help="the highest learning rate of AdamW")
    parser.add_argument("--muon-rate", type=float, default=0.015, help="the same of Muon, for the matrices")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=3, help="of 64 dimensions each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--report-minutes", type=float, default=4.0, help="between two looks at the development set"
    )
    parser.add_argument("--resume", type=Path, default=None, help="a model to go on from, with its tokenizer")
    parser.add_argument("--output", type=Path, default=DESTINATION)
    return parser.parse_args()


def _model(tokenizer: PreTrainedTokenizerFast, layers: int, heads: int) -> LlamaForCausalLM:
    stop, _, end = tokenizer.convert_tokens_to_ids([STOP, START, END])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64 * heads,
        intermediate_size=512 * heads // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=stop,
        attn_implementation="sdpa",
    )
    # A bfloat16 model is a quarter faster than autocast on the processors that have it.
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.generation_config = GenerationConfig(eos_token_id=[end, stop], pad_token_id=stop, do_sample=False)
    return model


def train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace, started: float
) -> None:
    masters = [parameter.detach().float().clone() for parameter in model.parameters()]
    optimizers = _optimizers(model, masters, options)
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    seen, mean, reported, step = 0, 0.0, time.monotonic(), 0
    for step, (tokens, weights) in enumerate(batches(tokenizer, options.seed, options.budget), 1):
        minutes = (time.monotonic() - started) / 60
        done = step / options.steps if options.steps else minutes / options.minutes
        if done >= 1:
            break
        scale = min(1.0, step / _WARMUP) * _decay(done)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * scale
        loss = _loss(model, tokens, weights)
        loss.backward()
        _step(model, masters, optimizers)
        seen += tokens.numel()
        mean = loss.item() if step == 1 else 0.97 * mean + 0.03 * loss.item()
        if step % 50 == 0:
            left = minutes / done - minutes
            rate = seen / 60 / minutes
            print(f"step {step}  loss {mean:.4f}  {rate:.0f} tokens/s  {left:.1f} min left", flush=True)
        if time.monotonic() - reported > 60 * options.report_minutes:
            print(development.report(model, tokenizer), flush=True)
            save(model, tokenizer, options.output)
            reported = time.monotonic()
    print(f"{step} steps, {seen:,} tokens, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    print(development.report(model, tokenizer), flush=True)


def _step(model: LlamaForCausalLM, masters: list[Tensor], optimizers: list[torch.optim.Optimizer]) -> None:
    """One update of the float32 masters, copied back into the bfloat16 model."""
    parameters = list(model.parameters())
    for master, parameter in zip(masters, parameters, strict=True):
        master.grad = parameter.grad.float()
        parameter.grad = None
    torch.nn.utils.clip_grad_norm_(masters, 1.0)
    for optimizer in optimizers:
        optimizer.step()
    with torch.no_grad():
        for master, parameter in zip(masters, parameters, strict=True):
            parameter.copy_(master)


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


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the model in Hugging Face's format; its weights are in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
