"""Exact match on fresh training-style questions, printed while the model trains."""

from random import Random

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from foal.corpus import recall
from foal.generation import Messages, answers
from foal.questions import CATEGORIES

_WATCHED = (
    "capitals",
    "opposites",
    "colours",
    "animals",
    "days",
    "months",
    "sums",
    "differences",
    "unknown",
    "echo",
)
_EACH = 25


def report(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> str:
    """One line: right answers in percent for each category."""
    rng = Random(99)
    asked: list[tuple[str, Messages, str]] = []
    for name in _WATCHED:
        for _ in range(_EACH):
            one = CATEGORIES[name][0](rng)
            asked.append((name, [{"role": "user", "content": one.question}], one.answer))
    for _ in range(_EACH):
        turns = recall(rng)
        asked.append(
            ("recall", [{"role": t.role, "content": t.content} for t in turns[:-1]], turns[-1].content)
        )
    model.eval()
    given = answers(model, tokenizer, [messages for _, messages, _ in asked])
    model.train()
    right = dict.fromkeys((*_WATCHED, "recall"), 0)
    for (name, _, wanted), answer in zip(asked, given, strict=True):
        right[name] += answer == wanted
    return "  ".join(f"{name} {count * 100 // _EACH}%" for name, count in right.items())
