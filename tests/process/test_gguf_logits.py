"""Converted models must answer like transformers: each family, each weights type, each way to cut words."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="compares with transformers")
pytest.importorskip("transformers")

from paddock.engines.llama_cpp.convert import convert  # noqa: E402
from tests.process import hf_models  # noqa: E402
from tests.process.engine import ask, running  # noqa: E402

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "Q8_0": torch.bfloat16}
# Root mean square of the difference of log-probabilities, which spread by about 1. llama.cpp rounds what
# goes into each product to the weights' type. A forgotten reordering or rope factor is off by 0.2 to 1.5.
TOLERANCE = {"F16": 0.03, "BF16": 0.06, "Q8_0": 0.12}
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
CASES = [
    (family, kind)
    for family in hf_models.FAMILIES
    for kind in (TOLERANCE if family in FAMILIES else ["F16"])  # the sharpest, for what differs in a family
]
PROMPT_LENGTHS = (1, 9, 100, 200)


class TestLogits:
    @pytest.mark.parametrize(("family", "weights_type"), CASES)
    def test_every_token_is_as_likely_as_in_transformers(
        self, family: str, weights_type: str, tmp_path: Path
    ) -> None:
        checkpoint = tmp_path / "checkpoint"
        model = hf_models.save_model(family, checkpoint, DTYPES[weights_type])
        hf_models.save_tokenizer("qwen2", checkpoint)
        weights = convert(checkpoint, tmp_path / "cache", weights_type)
        prompts = [[10 + i * 37 % 600 for i in range(length)] for length in PROMPT_LENGTHS]
        answers = asyncio.run(_log_probabilities(weights, prompts, tmp_path))
        for prompt, answer in zip(prompts, answers, strict=True):
            with torch.no_grad():
                expected = torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], -1).tolist()
            difference = math.dist(answer, expected) / math.sqrt(len(expected))
            assert difference < TOLERANCE[weights_type], f"{len(prompt)} tokens"


class TestTokens:
    @pytest.mark.parametrize("kind", hf_models.TOKENIZERS)
    def test_text_is_cut_as_in_transformers(self, kind: str, tmp_path: Path) -> None:
        checkpoint = tmp_path / "checkpoint"
        hf_models.save_model("llama", checkpoint, torch.bfloat16)
        tokenizer = hf_models.save_tokenizer(kind, checkpoint)
        weights = convert(checkpoint, tmp_path / "cache")
        answers = asyncio.run(_tokens(weights, hf_models.TEXTS, tmp_path))
        assert answers == [tokenizer(text)["input_ids"] for text in hf_models.TEXTS]


async def _log_probabilities(weights: Path, prompts: list[list[int]], folder: Path) -> list[list[float]]:
    async with running(weights, folder) as engine:
        return [await _log_probability(engine, prompt) for prompt in prompts]


async def _log_probability(engine: Any, prompt: list[int]) -> list[float]:
    # The bias chooses a token that is text on its own: for half a character there would be no logprobs.
    # It does not change what is reported.
    body = {"prompt": prompt, "max_tokens": 1, "logprobs": hf_models.VOCAB, "logit_bias": {"70": 100}}
    status, answer = await ask(engine, "/v1/completions", body)
    assert status == 200, answer
    tops = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    by_id = {top["id"]: top["logprob"] for top in tops}
    return [by_id[token] for token in range(hf_models.VOCAB)]


async def _tokens(weights: Path, texts: list[str], folder: Path) -> list[list[int]]:
    async with running(weights, folder) as engine:
        answers = [await ask(engine, "/tokenize", {"content": text, "add_special": True}) for text in texts]
    return [answer["tokens"] for _, answer in answers]
