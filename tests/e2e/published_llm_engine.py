"""What a user of the published LLM Engine client does, in a process of its own: it lives in no environment.

`python published_llm_engine.py` does all of it with the server that LLM_ENGINE_BASE_PATH names, and writes
what each part gave as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from llmengine import Completion, Model

NAME = "stable/pony"
PROMPT = "The capital of France is"
GREEDY = {"temperature": 0.0, "max_new_tokens": 12}
GUIDED: dict[str, dict[str, Any]] = {
    "guided_regex": {"guided_regex": "Sean.*"},
    "guided_choice": {"guided_choice": ["dog", "cat"]},
    "guided_grammar": {"guided_grammar": 'start: "John"'},
    "guided_json": {
        "guided_json": {"properties": {"tame": {"type": "boolean"}}, "required": ["tame"]},
        "max_new_tokens": 30,
    },
}


def create() -> Any:
    made = Model.create(NAME, "paddock/foal", "latest", min_workers=1, labels={"team": "stable"})
    while (found := Model.get(NAME)).status != "READY":
        time.sleep(0.02)
    state = found.spec.deployment_state
    return {
        "task": made.endpoint_creation_task_id,
        "model": found.model_name,
        "framework": found.inference_framework.value,
        "available": state.available_workers,
        "public": found.spec.public_inference,
        "labels": found.spec.labels,
        "engine": found.spec.metadata["engine"],
        "listed": [one.name for one in Model.list().model_endpoints],
    }


def complete() -> Any:
    answer = Completion.create(NAME, PROMPT, return_token_log_probs=True, **GREEDY)
    events = list(Completion.create(NAME, PROMPT, return_token_log_probs=True, stream=True, **GREEDY))
    return {
        "text": answer.output.text,
        "counts": [answer.output.num_prompt_tokens, answer.output.num_completion_tokens],
        "tokens": [token.token for token in answer.output.tokens],
        "pieces": [event.output.text for event in events],
        "piece_tokens": [event.output.token.token for event in events],
        "finished": [event.output.finished for event in events],
        "last_counts": [events[-1].output.num_prompt_tokens, events[-1].output.num_completion_tokens],
    }


def complete_in_a_loop() -> Any:
    async def work() -> Any:
        answer = await Completion.acreate(NAME, PROMPT, **GREEDY)
        stream = await Completion.acreate(NAME, PROMPT, stream=True, **GREEDY)
        return answer.output.text, "".join([event.output.text async for event in stream])

    return asyncio.run(work())


def guide() -> Any:
    return {
        name: Completion.create(NAME, PROMPT, **{**GREEDY, **fields}).output.text
        for name, fields in GUIDED.items()
    }


def stop_at() -> Any:
    fields = {"stop_sequences": ["zzz", "."], "include_stop_str_in_output": True, **GREEDY}
    return Completion.create(NAME, PROMPT, **fields).output.text


def errors() -> Any:
    calls: dict[str, Callable[[], Any]] = {
        "taken": lambda: Model.create(NAME, "foal", "latest"),
        "unknown model": lambda: Model.create("other", "goat", "latest"),
        "unknown endpoint": lambda: Completion.create("goat", PROMPT),
        "unknown to get": lambda: Model.get("goat"),
        "min over max": lambda: Model.update(NAME, min_workers=9),
        "gpus": lambda: Model.create("other", "foal", "latest", gpus=99),
        "quantize": lambda: Model.create("other", "foal", "latest", quantize="awq"),
        "regex": lambda: Completion.create(NAME, PROMPT, guided_regex="(a"),
    }
    return {name: _raised(call) for name, call in calls.items()}


def change() -> Any:
    Model.update(NAME, per_worker=5)
    per_worker = Model.get(NAME).spec.deployment_state.per_worker
    Model.update(NAME, max_workers=0)
    stopped = Model.get(NAME)
    Model.update(NAME, min_workers=1, max_workers=1)
    while not Model.get(NAME).spec.deployment_state.available_workers:
        time.sleep(0.02)
    deleted = Model.delete(NAME).deleted
    while _raised(lambda: Model.get(NAME)) is None:
        time.sleep(0.02)
    return {
        "per_worker": per_worker,
        "stopped": [stopped.status.value, stopped.spec.deployment_state.max_workers],
        "deleted": deleted,
        "left": [one.name for one in Model.list().model_endpoints],
    }


def _raised(call: Callable[[], Any]) -> list[str] | None:
    try:
        call()
    except Exception as error:  # which one it is, is what the test asks for
        return [type(error).__name__, str(error)]
    return None


if __name__ == "__main__":
    parts = [create, complete, complete_in_a_loop, guide, stop_at, errors, change]
    json.dump({part.__name__: part() for part in parts}, sys.stdout)
