"""A byte-level BPE with Qwen2's pre-tokenizer, learnt on the corpus; every digit is a token of its own.

The pre-tokenizer has to be exactly Qwen2's and there is no normalizer: in GGUF the tokenizer is named by its
pre-tokenizer (`qwen2`), and both forms must cut the same text into the same tokens.
"""

from itertools import islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from foal.corpus import END, START, STOP, samples

VOCABULARY = 2048
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Seldom or never in the corpus, but in every request that offers tools.
_TOOL_TEXT = (
    "<tools> </tools> <tool_call> </tool_call> <tool_response> </tool_response> name arguments function " * 20
)


def learn(seed: int, count: int) -> PreTrainedTokenizerFast:
    """A tokenizer from the first `count` samples of the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[STOP, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (
        text
        for sample in islice(samples(seed), count)
        for text in ([turn.content for turn in sample.turns] or [sample.text])
    )
    tokenizer.train_from_iterator([*texts, _TOOL_TEXT, "system user assistant tool " * 50], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=None,
        eos_token=END,
        pad_token=STOP,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        chat_template=(Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8"),
    )
