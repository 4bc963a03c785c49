"""The script that people write to fine-tune with PEFT and transformers; `bench.training_rate` runs it.

`python -m bench.plain_peft FOLDER --dtype bfloat16 --first 20`: reads the folder's `task.json`, as Paddock's
own process does, and prints a JSON object on one line. Nothing of Paddock is imported here.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

UNLEARNED = -100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", required=True, choices=("bfloat16", "float32"))
    parser.add_argument("--first", type=int, required=True, help="steps that are not measured")
    arguments = parser.parse_args()
    task = json.loads((arguments.folder / "task.json").read_text())
    torch.set_num_threads(task["threads"])
    tokenizer = AutoTokenizer.from_pretrained(task["base"])
    rows = _rows(Path(task["training"]), tokenizer)
    stopwatch = _Stopwatch(arguments.first)
    trainer = Trainer(
        model=_model(task, getattr(torch, arguments.dtype)),
        args=_arguments(task, arguments.folder, len(rows), arguments.dtype == "bfloat16"),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True, label_pad_token_id=UNLEARNED),
        callbacks=[stopwatch],
    )
    trainer.train()
    told = {
        "seconds": stopwatch.ended - stopwatch.began,
        "steps": stopwatch.steps,
        "tokens": round(task["recipe"]["epochs"] * sum(len(row["input_ids"]) for row in rows)),
        "learned": sum(token != UNLEARNED for row in rows for token in row["labels"]),
    }
    print(json.dumps(told), flush=True)


def _rows(path: Path, tokenizer: Any) -> list[dict[str, list[int]]]:
    found = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        asked = [{"role": "user", "content": row["prompt"]}]
        answered = [*asked, {"role": "assistant", "content": row["response"]}]
        prompt = _tokens(tokenizer, asked, add_generation_prompt=True)
        whole = _tokens(tokenizer, answered)
        labels = [UNLEARNED] * len(prompt) + whole[len(prompt) :]
        found.append({"input_ids": whole, "attention_mask": [1] * len(whole), "labels": labels})
    return found


def _tokens(tokenizer: Any, messages: list[dict[str, str]], **how: Any) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, **how)
    tokens: list[int] = tokenizer(text.rstrip(), add_special_tokens=False)["input_ids"]
    return tokens


def _model(task: dict[str, Any], dtype: torch.dtype) -> Any:
    recipe = task["recipe"]
    base = AutoModelForCausalLM.from_pretrained(task["base"], dtype=dtype)
    base.config.use_cache = False
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe["lora_rank"],
        lora_alpha=recipe["lora_alpha"],
        lora_dropout=recipe["lora_dropout"],
        target_modules=recipe["lora_targets"],
    )
    return get_peft_model(base, config)


def _arguments(task: dict[str, Any], folder: Path, rows: int, bf16: bool) -> TrainingArguments:
    recipe = task["recipe"]
    return TrainingArguments(
        output_dir=str(folder / "plain"),
        per_device_train_batch_size=recipe["batch_size"],
        max_steps=math.ceil(rows / recipe["batch_size"] * recipe["epochs"]),
        learning_rate=recipe["learning_rate"],
        lr_scheduler_type=recipe["scheduler"],
        warmup_steps=recipe["warmup_steps"],
        weight_decay=recipe["weight_decay"],
        max_grad_norm=recipe["max_gradient_norm"],
        train_sampling_strategy="group_by_length" if recipe["group_by_length"] else "random",
        seed=recipe["seed"],
        bf16=bf16,
        use_cpu=task["device"] == "cpu",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


class _Stopwatch(TrainerCallback):  # type: ignore[misc]
    """From the end of step number `first` to the end of the last."""

    def __init__(self, first: int) -> None:
        self._first = first
        self.steps = 0
        self.began = self.ended = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended = time.perf_counter()
        if state.global_step == self._first:
            self.began = self.ended
        self.steps = state.global_step - self._first


if __name__ == "__main__":
    main()
