"""A real fine-tune's process and its work folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOAL = Path(__file__).parents[3] / "src" / "paddock" / "bundled" / "foal"
Lines = list[dict[str, Any]]


def write_task(folder: Path, rows: int = 24, **options: Any) -> Path:
    """A work folder below `folder`, for the bundled model, with made-up rows and `options` of the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {name: options.pop(name) for name in ("base", "device") if name in options}
    for name, count in (("training", rows), ("validation", 6)):
        lines = [
            json.dumps(
                {"prompt": f"Where is shelf {index}?", "response": f"In {'row ' * (index % 5)}{index}."}
            )
            for index in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    recipe: dict[str, Any] = {
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "lora_rank": 4,
        "max_length": 64,
        "evaluate_every": 5,
        "save_every": 3,
        **options,
    }
    task: dict[str, Any] = {
        "base": str(FOAL),
        "base_name": "paddock/foal",
        "training": str(folder / "training.jsonl"),
        "validation": str(folder / "validation.jsonl"),
        "threads": 1,
        "recipe": recipe,
        **given,
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    return folder


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "paddock.training", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def learn(folder: Path) -> Lines:
    """What it says, learned in this process: to import the libraries takes seconds."""
    import torch

    from paddock.errors import PaddockError
    from paddock.schemas.training import Said, Task
    from paddock.training.failures import failed
    from paddock.training.run import run

    said: list[Said] = []
    threads = torch.get_num_threads()
    try:
        run(Task.model_validate_json((folder / "task.json").read_bytes()), folder, said.append)
    except PaddockError as error:
        said.append(failed(error))
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
    return [one.model_dump(mode="json") for one in said]


def finish(folder: Path) -> tuple[int, Lines]:
    """The exit status and all that it says."""
    with start(folder) as process:
        out, _ = process.communicate(timeout=100)
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def kill_at(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> Lines:
    """What it says until a line is `wanted`, at which it is killed with SIGKILL."""
    said: Lines = []
    with start(folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(json.loads(line))
            if wanted(said[-1]):
                process.kill()
                break
        process.communicate(timeout=20)
    return said
