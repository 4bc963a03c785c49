"""A base with an adapter merged in is what PEFT makes of the two, and transformers loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="compares with PEFT")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from paddock.weights.merging import plan_merge  # noqa: E402
from paddock.weights.resolve import resolve  # noqa: E402
from tests.process import hf_models  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
STEP = 2**-7
"""Between two neighbouring bfloat16 numbers, of their size."""


def load(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()


def make_adapter(base: Path, folder: Path, **config: Any) -> None:
    """A random one, as PEFT saves it."""
    torch.manual_seed(3)
    adapted = peft.get_peft_model(load(base), peft.LoraConfig(task_type="CAUSAL_LM", **config))
    for name, parameter in adapted.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, 0.0, 0.05)
    adapted.save_pretrained(folder)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")  # of lm_head
@pytest.mark.parametrize(
    ("family", "dtype", "config"),
    [
        ("foal", "", {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}),
        ("llama", "bfloat16", {"r": 4, "use_rslora": True, "target_modules": ["q_proj", "down_proj"]}),
        (
            "qwen3",
            "float16",
            {"r": 4, "rank_pattern": {"k_proj": 2}, "target_modules": ["k_proj", "lm_head"]},
        ),
    ],
)
def test_it_is_what_peft_merges(family: str, dtype: str, config: dict[str, Any], tmp_path: Path) -> None:
    base, adapter, merged = resolve("foal").path, tmp_path / "adapter", tmp_path / "merged"
    if family != "foal":
        base = tmp_path / "base"
        hf_models.save_model(family, base, getattr(torch, dtype))
    make_adapter(base, adapter, **config)
    merged.mkdir()
    for file in plan_merge(base, adapter):
        (merged / file.name).write_bytes(b"".join(file.read()))

    found, before = load(merged).state_dict(), load(base).state_dict()
    theirs = peft.PeftModel.from_pretrained(load(base), adapter).merge_and_unload().state_dict()
    assert found.keys() == theirs.keys()
    changed = 0
    for name, wanted in theirs.items():
        assert found[name].dtype == wanted.dtype
        torch.testing.assert_close(found[name], wanted, rtol=STEP, atol=1e-5)
        changed += not torch.equal(found[name], before[name])
    assert changed >= 2
    if family == "foal":
        assert transformers.AutoTokenizer.from_pretrained(merged).chat_template
