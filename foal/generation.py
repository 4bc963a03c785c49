"""Greedy answers of a model in this process, many conversations at once."""

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

Messages = list[dict[str, str]]


def answers(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    conversations: list[Messages],
    longest: int = 48,
) -> list[str]:
    """The next assistant's message of each conversation, cut at `longest` tokens."""
    prompts = [
        tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True)
        for one in conversations
    ]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    found = [""] * len(prompts)
    tokenizer.padding_side = "left"
    for first in range(0, len(order), 128):
        chosen = order[first : first + 128]
        inputs = tokenizer(
            [prompts[i] for i in chosen], return_tensors="pt", padding=True, add_special_tokens=False
        )
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            output = model.generate(
                **inputs, max_new_tokens=longest, do_sample=False, temperature=None, top_p=None
            )
        texts = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for index, text in zip(chosen, texts, strict=True):
            found[index] = text
    return found
