"""Special tokens in answers: llama.cpp leaves them out, but for those whose texts a request names.

It does not list them. A text that has every token in it is taken apart twice, with and without special
tokens: what it is taken into only the first time is one.
"""

from __future__ import annotations

from typing import Any

import orjson

from paddock.errors import UnsupportedParameter
from paddock.inference import relay
from paddock.inference.routing import Deployment

JSON = dict[str, Any]
AT_ONCE = 4096
"""Tokens of a text that the engine takes apart in one go."""
KEPT = 64
"""Models whose special tokens are remembered."""
# Those by which llama.cpp sees that a model has ended its answer; vLLM shows them with a stop string only.
_ENDS = frozenset(
    (
        *("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|end|>", "<|return|>", "<|call|>"),
        *("<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<end_of_utterance>", "<eos>", "</s>"),
        *("<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<｜end▁of▁sentence｜>"),
    )
)
_known: dict[tuple[str, str, int], list[str]] = {}


async def shown(deployment: Deployment, *, with_end: bool) -> list[str]:
    """The special tokens that an answer shows.

    Args:
        with_end: also those by which a model ends its answer.

    Raises:
        UnsupportedParameter: the engine does not tell how many tokens it knows.
        EngineRefused, EngineFailed, EngineTimeout, RateLimited, Unavailable: it could not be asked.
    """
    if not deployment.vocabulary:
        raise UnsupportedParameter(
            "skip_special_tokens must be true or left out: this engine does not tell its special tokens",
            param="skip_special_tokens",
        )
    key = (deployment.id or deployment.name, deployment.model, deployment.vocabulary)
    if key not in _known:
        found = await _find(deployment)
        while len(_known) >= KEPT:
            del _known[next(iter(_known))]
        _known[key] = found
    return [text for text in _known[key] if with_end or text not in _ENDS]


async def _find(deployment: Deployment) -> list[str]:
    found: dict[str, None] = {}
    for first in range(0, deployment.vocabulary, AT_ONCE):
        ids = list(range(first, min(first + AT_ONCE, deployment.vocabulary)))
        text = (await _ask(deployment, b"/detokenize", {"tokens": ids})).get("content", "")
        apart = {"content": text, "add_special": False, "with_pieces": True}
        special = await _ask(deployment, b"/tokenize", {**apart, "parse_special": True})
        plain = await _ask(deployment, b"/tokenize", {**apart, "parse_special": False})
        others = {one["id"] for one in plain.get("tokens", ())}
        # A piece that is no whole character is a list of bytes.
        texts = [one["piece"] for one in special.get("tokens", ()) if one["id"] not in others]
        found |= dict.fromkeys(text for text in texts if isinstance(text, str))
    return list(found)


async def _ask(deployment: Deployment, path: bytes, body: JSON) -> JSON:
    raw = await relay.fetch(deployment, path, orjson.dumps(body), own_route=True)
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise relay.broken_answer("it is not JSON") from None
    if not isinstance(answer, dict):
        raise relay.broken_answer("it is no object")
    return answer
