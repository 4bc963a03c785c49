"""Small random models and tokenizers of each family, made with transformers. Needs torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCAB = 640
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    "The horses of the paddock eat hay in the morning, and they've 123 apples left; don't you?",
    "She'll say it's 2024: we're 100% sure!  Two  spaces,\ttabs\n\nand new lines.",
    "Über die Brücke, café crème, naïve façade. Привет мир! 你好，世界。 مرحبا بالعالم 🐎🐴",
    "def function(argument):\n    return {'key': [1, 2, 3], \"other\": argument ** 2}\n",
] * 4
TEXTS = [
    *CORPUS[:4],
    "",
    " ",
    "  leading and trailing  ",
    "\n\n\n",
    "I'M SHOUTING, I'LL STOP. o'clock 'tis",
    "1234567890 12 345 6,789.01",
    "emoji 👩‍👩‍👧‍👦 and \u200b zero width, ﷽ ligature, e\u0301 combining",
    "\x00\x01\x7f control",
    "a<|end|>b <|end|> c",
    "mixed日本語andEnglishとカタカナ",
    "tabs\t\tand  \r\n windows lines\r\n",
    "xyzzyQWERTY CamelCaseWords HTTPServer",
]

SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 128,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.09,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def llama(**changes: Any) -> Any:
    return LlamaForCausalLM(LlamaConfig(**{**SMALL, **changes}))


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: llama(tie_word_embeddings=True),
    "llama-biased": lambda: llama(attention_bias=True, mlp_bias=True),
    "llama3-rope": lambda: llama(
        max_position_embeddings=1024,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
    "llama-linear-rope": lambda: llama(
        rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
    ),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SMALL, head_dim=48, sliding_window=None)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SMALL, tie_word_embeddings=True)),
    "qwen2-yarn": lambda: Qwen2ForCausalLM(
        Qwen2Config(
            **SMALL,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 128,
            },
        )
    ),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SMALL, head_dim=64)),
}


def save_model(family: str, folder: Path, dtype: torch.dtype) -> Any:
    """Writes a random checkpoint and gives the same model back in float32, with its weights as written."""
    torch.manual_seed(7)
    model = FAMILIES[family]()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            # As made they are all 0 or 1: a forgotten one would not be noticed.
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.3)
    model = model.to(dtype).eval()
    model.save_pretrained(folder)
    return model.float()


def byte_level(pattern: str | None, *, whole_words: bool = False, digits: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    if pattern:
        steps = [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    else:
        steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - 8,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentencepiece_like() -> Tokenizer:
    """As Llama 2 and Mistral have it: spaces as ▁, unknown characters as bytes, a first token."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<|begin|>", "<|end|>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 8, special_tokens=special[:3], show_progress=False)
    tokenizer.train_from_iterator([text.encode("ascii", "ignore").decode() for text in CORPUS], trainer)
    return _with_bytes(tokenizer, special)


def _with_bytes(tokenizer: Tokenizer, special: list[str]) -> Tokenizer:
    """A trainer knows no byte tokens, so they are put before what it learned."""
    content = json.loads(tokenizer.to_str())
    learned = [text for text in content["model"]["vocab"] if text not in special]
    content["model"]["vocab"] = {text: i for i, text in enumerate([*special, *learned][: VOCAB - 8])}
    known = content["model"]["vocab"]
    content["model"]["merges"] = [m for m in content["model"]["merges"] if "".join(m) in known]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", 0)]
    )
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "qwen2": lambda: byte_level(QWEN2),
    "llama3": lambda: byte_level(LLAMA3, whole_words=True),
    "llama3-merged": lambda: byte_level(LLAMA3),
    "tekken": lambda: byte_level(TEKKEN),
    "gpt2": lambda: byte_level(None),
    "smollm": lambda: byte_level(None, digits=True),
    "sentencepiece": sentencepiece_like,
}


def save_tokenizer(kind: str, folder: Path) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=TOKENIZERS[kind](), bos_token="<|begin|>", eos_token="<|end|>"
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
