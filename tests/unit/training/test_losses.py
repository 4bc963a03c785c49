from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from paddock.errors import JobFailed
from paddock.training import losses
from paddock.training.losses import check_packing, summed_loss
from paddock.training.model import Learner
from paddock.training.packing import batch, pack
from paddock.training.rows import Row

LENGTHS = [9, 30, 4, 12, 7, 30, 17]
CONFIGS = [
    transformers.LlamaConfig,
    transformers.MistralConfig,
    transformers.Qwen2Config,
    transformers.Qwen3Config,
]


def _learner(config: type, **more: Any) -> Learner:
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 90}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    given = config(**sizes, **heads, pad_token_id=0, bos_token_id=1, eos_token_id=2, **more)
    model = transformers.AutoModelForCausalLM.from_config(given)
    # A fresh model is too timid for attention to matter.
    for weight in model.parameters():
        weight.data.normal_(0, 0.3)
    return Learner(model, model, torch.device("cpu"), torch.float32, "float32")


@pytest.fixture
def rows() -> list[Row]:
    random = np.random.default_rng(5)
    return [
        Row(
            random.integers(3, 90, length).astype(np.int32),
            np.array([False, False, *[True] * (length - 2)], dtype=np.bool_),
        )
        for length in LENGTHS
    ]


class TestSummedLoss:
    @pytest.mark.parametrize("config", CONFIGS)
    @pytest.mark.parametrize("packing", [False, True])
    def test_is_the_sum_of_each_row_alone(self, rows: list[Row], config: type, packing: bool) -> None:
        learner = _learner(config)
        together = batch(rows, 0, packing)
        assert together.tokens.shape == ((4, 30) if packing else (7, 30))
        expected = sum(_plain(learner, row) for row in rows)
        assert summed_loss(learner, together).item() == pytest.approx(expected, rel=1e-5)

    def test_is_so_within_a_sliding_window(self, rows: list[Row]) -> None:
        learner = _learner(transformers.MistralConfig, sliding_window=5)
        expected = sum(_plain(learner, row) for row in rows)
        assert summed_loss(learner, batch(rows, 0, True)).item() == pytest.approx(expected, rel=1e-5)

    def test_has_the_same_gradient_in_chunks(self, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
        gradients = []
        for largest in (2**28, 90 * 10):
            monkeypatch.setattr(losses, "_LARGEST_LOGITS", largest)
            learner = _learner(transformers.LlamaConfig)
            summed_loss(learner, batch(rows, 0, False)).backward()
            gradients.append(learner.base.model.embed_tokens.weight.grad)
        torch.testing.assert_close(*gradients)

    def test_takes_the_plain_way_with_another_class(self, rows: list[Row]) -> None:
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=90, attn_pdrop=0)
        model = transformers.GPT2LMHeadModel(config).eval()
        learner = Learner(model, model, torch.device("cpu"), torch.float32, "float32")
        expected = sum(_plain(learner, row) for row in rows)
        assert summed_loss(learner, batch(rows, 0, False)).item() == pytest.approx(expected, rel=1e-5)
        with pytest.raises(JobFailed, match="packing is not possible with a GPT2LMHeadModel"):
            check_packing(model)


class TestPack:
    def test_fills_lines_with_the_longest_first(self) -> None:
        assert pack([3, 10, 7, 2, 5], 10) == [[1], [2, 0], [4, 3]]


def _plain(learner: Learner, row: Row) -> float:
    """As transformers calculates it, of one row."""
    tokens = torch.from_numpy(row.tokens).long()[None]
    labels = torch.where(torch.from_numpy(row.learned)[None], tokens, -100)
    with torch.no_grad():
        loss = learner.base(input_ids=tokens, labels=labels, use_cache=False).loss
    return float(loss.item() * row.learned.sum())
