"""What a user of an LLM Engine client does with batches and files; the client is the module named first.

Run by `test_batches_by_client.py`, in a process of its own because the published client needs a path of
its own. Prints what it found as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

client: Any = importlib.import_module(sys.argv[1])
types: Any = importlib.import_module(f"{sys.argv[1]}.data_types")
Completion, File = client.Completion, client.File

PROMPTS = ["The capital of France is", "A horse eats", "The capital of France is"]
CONTENT = {"prompts": PROMPTS, "max_new_tokens": 6, "temperature": 0.0}
QUESTIONS = ["What is the capital of France?", "What does a horse eat?"]
LIMIT = 60.0


def config() -> Any:
    return types.CreateBatchCompletionsModelConfig(model="foal", labels={"team": "stable"})


def v1_inline() -> Any:
    content = types.CreateBatchCompletionsRequestContent(**CONTENT, return_token_log_probs=True)
    made = Completion.batch_create(output_data_path="v1.json", model_config=config(), content=content)
    job = wait(made.job_id)
    return {
        "job_id": made.job_id,
        "job": job,
        "output": [
            [one["text"], one["num_completion_tokens"], one["tokens"][0]] for one in output("v1.json")
        ],
    }


def v1_from_a_file() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.json"
        path.write_text(json.dumps(CONTENT), encoding="utf-8")
        with path.open("rb") as binary, path.open(encoding="utf-8") as text:
            uploaded, again = File.upload(binary).id, File.upload(text).id
    found = File.get(uploaded)
    made = Completion.batch_create(
        output_data_path="v1-file.json", model_config=config(), input_data_path=uploaded
    )
    wait(made.job_id)
    same = File.download(uploaded).content == File.download(again).content == json.dumps(CONTENT)
    return {
        "file": [found.filename, found.size == len(json.dumps(CONTENT)), same],
        "output": [one["text"] for one in output("v1-file.json")],
        "deleted": [File.delete(uploaded).deleted, raised(lambda: File.get(uploaded))[0]],
    }


def v2_chat() -> Any:
    rows = [
        types.FilteredChatCompletionV2Request(
            messages=[{"role": "user", "content": question}], max_tokens=8, temperature=0, logprobs=True
        )
        for question in QUESTIONS
    ]
    made = Completion.batch_create(
        output_data_path="v2-chat.json",
        model_config=config(),
        content=rows,
        use_v2=True,
        labels={"team": "other"},
    )
    wait(made.job_id)
    answers = output("v2-chat.json")
    return {
        "made": [made.status.value, made.output_data_path, made.model_config.model, made.completed_at],
        "objects": [one["object"] for one in answers],
        "said": [one["choices"][0]["message"]["content"] for one in answers],
        "logprobs": [len(one["choices"][0]["logprobs"]["content"]) > 0 for one in answers],
    }


def v2_completions() -> Any:
    rows = [
        types.FilteredCompletionV2Request(prompt=prompt, max_tokens=6, temperature=0) for prompt in PROMPTS
    ]
    made = Completion.batch_create(
        output_data_path="v2.json", model_config=config(), content=rows, use_v2=True
    )
    wait(made.job_id)
    answers = output("v2.json")
    return {
        "objects": [one["object"] for one in answers],
        "said": [one["choices"][0]["text"] for one in answers],
    }


def v2_prompts() -> Any:
    content = types.CreateBatchCompletionsV1RequestContent(**CONTENT)
    made = Completion.batch_create(
        output_data_path="v2-prompts.json", model_config=config(), content=content, use_v2=True
    )
    wait(made.job_id)
    return [one["text"] for one in output("v2-prompts.json")]


def cancel() -> Any:
    content = types.CreateBatchCompletionsRequestContent(
        prompts=PROMPTS * 200, max_new_tokens=200, temperature=1.0
    )
    made = Completion.batch_create(output_data_path="never.json", model_config=config(), content=content)
    answer = Completion.cancel_batch_completion(made.job_id)
    return {"answer": answer, "status": wait(made.job_id)["status"]}


def errors() -> Any:
    content = types.CreateBatchCompletionsRequestContent(**CONTENT)

    def create(model: str = "foal", output_data_path: str = "new.json", **more: Any) -> Callable[[], Any]:
        settings = types.CreateBatchCompletionsModelConfig(model=model)
        fields = {"model_config": settings, "output_data_path": output_data_path, "content": content, **more}
        return lambda: Completion.batch_create(**fields)

    calls = {
        "unknown model": create(model="goat"),
        "taken output": create(output_data_path="v1.json"),
        "forbidden output": create(output_data_path="/etc/answers.json"),
        "forbidden input": create(input_data_path="file:///etc/passwd", content=None),
        "both inputs": create(input_data_path="file-1"),
        "unknown input": create(input_data_path="file-none", content=None),
        "unknown job": lambda: Completion.get_batch_completion("batch_none"),
        "unknown file": lambda: File.download("file-none"),
    }
    return {name: raised(call) for name, call in calls.items()}


def wait(job_id: str) -> dict[str, Any]:
    """The job once it is over."""
    deadline = time.monotonic() + LIMIT
    while True:
        job: dict[str, Any] = Completion.get_batch_completion(job_id)["job"]
        if job["status"] not in ("queued", "running"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def output(name: str) -> Any:
    found = [file.id for file in File.list().files if file.filename == name]
    assert len(found) == 1, found
    return json.loads(File.download(found[0]).content)


def raised(call: Callable[[], Any]) -> list[str]:
    try:
        return ["nothing", str(call())]
    except Exception as error:  # which one it is, is what the test asks for
        return [type(error).__name__, str(error)]


if __name__ == "__main__":
    parts = [v1_inline, v1_from_a_file, v2_chat, v2_completions, v2_prompts, cancel, errors]
    json.dump({part.__name__: part() for part in parts}, sys.stdout)
