"""What a fine-tune's process is told, and what it says while it learns.

The process reads one `Task` and prints one `Said` a line. Both sides of that seam know nothing else of each
other. Losses are means over the tokens that are learned, in nats.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["lora", "full"]
Scheduler = Literal["cosine", "linear", "constant"]
TASK = "task.json"
"""The file in the work folder that the process begins with."""
WANDB_KEY = "WANDB_API_KEY"
"""The variable of the environment that the key of `Task.wandb` comes in: any user can read arguments."""
CHECKPOINTS, RESULT = "checkpoints", "result"
"""Folders in the work folder: what it goes on from, and what comes of it."""


class Recipe(BaseModel):
    """How it is learned, with nothing left to be chosen.

    Attributes:
        epochs: passes over the training rows; the last may be a part of one.
        batch_size: rows of one step, in `accumulation` equal parts one after the other.
        learning_rate: the peak.
        warmup_steps: in which it rises to that from 0.
        lora_targets: names of the linear layers that get an adapter, as PEFT's `target_modules`.
        max_length: tokens of a row, prompt and response together.
        truncate: whether a longer row is cut at its end; without it there is none.
        patience: evaluations without a better validation loss before it stops; 0: it never does so early.
        packing: whether short rows share a sequence, each seeing itself only.
        group_by_length: whether rows of like length go into a batch together.
        evaluate_every, save_every: in steps.
    """

    model_config = ConfigDict(extra="forbid")

    method: Method = "lora"
    epochs: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    accumulation: int = Field(default=1, gt=0)
    learning_rate: float = Field(gt=0)
    scheduler: Scheduler = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    lora_rank: int = Field(default=16, gt=0)
    lora_alpha: float = Field(default=32.0, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    lora_targets: list[str] = Field(default_factory=list)
    max_length: int = Field(gt=1)
    truncate: bool = False
    packing: bool = False
    group_by_length: bool = True
    patience: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**32)
    evaluate_every: int = Field(gt=0)
    save_every: int = Field(gt=0)


class WandbRun(BaseModel):
    """A run at Weights & Biases, which is told how it goes. Its key comes in `WANDB_KEY`, never here.

    Attributes:
        id: who comes again with it goes on with the same run.
        base_url: of a server of one's own; empty: `WANDB_BASE_URL`, or the public one.
        config: shown beside the metrics.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    name: str
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    notes: str | None = None
    tags: list[str] | None = None
    base_url: str = ""
    config: dict[str, Any] = Field(default_factory=dict)


class Task(BaseModel):
    """
    Attributes:
        base: the folder of the model's checkpoint, in Hugging Face's layout.
        base_name: what the adapter says it belongs to.
        training, validation: files of rows, a JSON object a line: `{"messages": [...]}` as OpenAI has them,
            whose assistant's turns are learned, or `{"prompt": "...", "response": "..."}`, whose response is.
            Without validation rows it is empty.
        device: `cpu`, `cuda` or `cuda:0`.
        threads: of the CPU; 0 for as many as there are cores.
        wandb: where its metrics are reported; None: nowhere.
    """

    model_config = ConfigDict(extra="forbid")

    base: str
    base_name: str
    training: str
    validation: str = ""
    device: str = "cpu"
    threads: int = Field(default=0, ge=0)
    recipe: Recipe
    wandb: WandbRun | None = None


class Began(BaseModel):
    """It is about to take the first step, or the first after the checkpoint that it resumes from."""

    kind: Literal["began"] = "began"
    step: int
    steps: int
    rows: int
    validation_rows: int
    trainable: int = Field(description="Numbers that are learned.")
    dtype: str


class Stepped(BaseModel):
    """Said after each step at first, and later not more often than a few times a second.

    Attributes:
        loss: the mean of the steps since the last of these.
        rate: rows a second since then.
        seconds_left: of training.
    """

    kind: Literal["step"] = "step"
    step: int
    epoch: float
    loss: float
    learning_rate: float
    rate: float
    seconds_left: float


class Evaluated(BaseModel):
    kind: Literal["evaluated"] = "evaluated"
    step: int
    epoch: float
    loss: float


class Saved(BaseModel):
    """A checkpoint is whole: the folder `name` below `CHECKPOINTS`. Older ones may be gone."""

    kind: Literal["saved"] = "saved"
    step: int
    name: str
    training_loss: float | None = None
    validation_loss: float | None = None


class Done(BaseModel):
    """`RESULT` holds the adapter as PEFT saves it, or the whole model; nothing else comes.

    Attributes:
        stopped_early: whether the validation loss had not got better for too long. The result is the best.
    """

    kind: Literal["done"] = "done"
    step: int
    epoch: float
    training_loss: float
    validation_loss: float | None = None
    stopped_early: bool = False
    trained_tokens: int
    seconds: float


class Failed(BaseModel):
    """It cannot go on; nothing else comes.

    Attributes:
        code: diverged, out_of_memory, disk_full, bad_model, bad_rows, no_device or internal.
    """

    kind: Literal["failed"] = "failed"
    code: str
    message: str = Field(description="For a person, with what to do about it.")


class Noted(BaseModel):
    """Something beside the learning, which goes on whatever it is. May come at any time.

    Attributes:
        trouble: whether somebody should do something about it.
    """

    kind: Literal["noted"] = "noted"
    message: str
    trouble: bool = False


Said = Annotated[Began | Stepped | Evaluated | Saved | Done | Failed | Noted, Field(discriminator="kind")]
