"""What a user of the published Cortecs client does, in a process of its own: two versions cannot live in one.

`python published_cortecs.py MODEL` runs every function below that begins with `try_`, and writes what each
gave, or what it raised, as one JSON object.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from cortecs_py import Cortecs
from cortecs_py.integrations.langchain.dedicated_llm import DedicatedLLM
from openai import OpenAI

QUICK = {"poll_interval": 0.1, "max_retries": 300}
QUESTION = "What is the capital of France?"


def try_1_lists(cortecs: Any, model: str) -> dict[str, Any]:
    return {
        "models": {one.model_id: one.hardware_configs for one in cortecs.get_all_models()},
        "hardware": [one.hardware_type_id for one in cortecs.get_all_hardware_types()],
        "available": [one.hardware_type_id for one in cortecs.get_available_hardware_types()],
        "prices": [one.price_info["price_per_minute"] for one in cortecs.get_all_hardware_types()],
    }


def try_2_chat(cortecs: Any, model: str) -> dict[str, Any]:
    """Start, chat, stop, delete."""
    instance = cortecs.start(model, **QUICK)
    found: dict[str, Any] = {
        "id": instance.instance_id,
        "args": instance.instance_args.model_dump(),
        "status": instance.instance_status.status,
        "started": instance.instance_status.started_at is not None,
        "hf_name": instance.instance_args.hf_name,
        "url": instance.base_url,
        "running": [one.instance_id for one in cortecs.get_running_instances()],
    }
    client = OpenAI(base_url=instance.base_url, api_key="none")
    answer = client.chat.completions.create(
        model=instance.instance_args.hf_name, messages=[{"role": "user", "content": QUESTION}], temperature=0
    )
    found["answer"] = answer.choices[0].message.content
    found["stopped"] = cortecs.stop(instance.instance_id).instance_status.status
    found["deleted"] = cortecs.delete(instance.instance_id)
    found["left"] = [one.instance_id for one in cortecs.get_all_instances()]
    return found


def try_3_ensure(cortecs: Any, model: str) -> dict[str, Any]:
    """The same instance every time: new, running, stopped, and without waiting."""
    asked = {"context_length": 1024, "billing_interval": "per_hour"}
    ids = [cortecs.ensure_instance(model, **asked, **QUICK).instance_id for _ in range(3)]
    cortecs.stop(ids[0])
    ids.append(cortecs.ensure_instance(model, **asked, poll=False).instance_id)
    ids.append(cortecs.ensure_instance(model, **asked, **QUICK).instance_id)
    defaults = [cortecs.ensure_instance(model, **QUICK).instance_id for _ in range(3)]
    other = cortecs.ensure_instance(model, context_length=512, **QUICK).instance_id
    short = [cortecs.ensure_instance("foal", context_length=256, **QUICK).instance_id for _ in range(2)]
    return {"ids": ids, "defaults": defaults, "other": other, "short": short}


def try_4_restart(cortecs: Any, model: str) -> dict[str, Any]:
    first = cortecs.start(model, **QUICK)
    cortecs.stop(first.instance_id)
    stopped = cortecs.get_instance_status(first.instance_id)
    again = cortecs.restart(first.instance_id, **QUICK)
    return {
        "same": again.instance_id == first.instance_id and again.instance_args == first.instance_args,
        "status": again.instance_status.status,
        "later": again.instance_status.started_at > first.instance_status.started_at,
        "stopped": [stopped.stopped_at is not None, again.instance_status.stopped_at],
        "refused": [
            refusal(lambda: cortecs.restart(again.instance_id)),
            refusal(lambda: cortecs.delete(again.instance_id)),
        ],
    }


def try_5_dedicated(cortecs: Any, model: str) -> dict[str, Any]:
    with DedicatedLLM(cortecs, model, api_key="none", temperature=0, **QUICK) as llm:
        answer = llm.invoke(QUESTION).content
    return {"answer": answer}


def try_6_refusals(cortecs: Any, model: str) -> dict[str, Any]:
    return {
        "model": refusal(lambda: cortecs.start("nonsense")),
        "hardware": refusal(lambda: cortecs.start(model, "CPU_999")),
        "billing": refusal(lambda: cortecs.start(model, billing_interval="per_day")),
        "context": refusal(lambda: cortecs.start(model, context_length=10**6)),
        "unknown": refusal(lambda: cortecs.stop("instance-1")),
    }


def try_7_all(cortecs: Any, model: str) -> dict[str, Any]:
    """Stops everything, deletes what is stopped, then everything."""
    before = [one.instance_id for one in cortecs.get_all_instances()]
    stopped = cortecs.stop_all()
    states = {one.instance_status.status for one in cortecs.get_all_instances()}
    running = cortecs.start(model, **QUICK).instance_id
    deleted = cortecs.delete_all()
    return {
        "all": sorted(before) == sorted(stopped) == sorted(deleted),
        "states": sorted(states),
        "kept": [one.instance_id for one in cortecs.get_all_instances()] == [running],
        "forced": cortecs.delete_all(force=True) == [running],
        "left": [one.instance_id for one in cortecs.get_all_instances()],
    }


def refusal(call: Callable[[], Any]) -> str:
    """What the client says of an error that the server answers with."""
    try:
        call()
    except Exception as error:
        return str(error)
    return "nothing was raised"


def main() -> None:
    cortecs, model = Cortecs(), sys.argv[1]
    found: dict[str, Any] = {}
    for name, scenario in sorted(globals().items()):
        if name.startswith("try_"):
            try:
                found[name[6:]] = scenario(cortecs, model)
            except Exception:
                found[name[6:]] = traceback.format_exc()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
