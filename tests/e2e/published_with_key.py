"""What two people do with one server by published clients that want a process of their own.

`python published_with_key.py CLIENT ME OTHERS [ROWS]`, with CLIENT `llm_engine` or `cortecs`, the server and
the key in the environment, OTHERS the JSON that another person's run wrote, or `null`, and ROWS a file.
Writes what it made, what it saw, and what came of asking for the things of the other, as one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

PROMPT = "The capital of France is"


def llm_engine(me: str, other: Any) -> dict[str, Any]:
    from llmengine import Completion, File, FineTune, Model, api_engine  # one of two clients

    name = f"{me}/pony"
    Model.create(name, "paddock/foal", "latest", min_workers=0)
    with open(sys.argv[4], encoding="utf-8") as rows:
        file = File.upload(rows).id
    job = FineTune.create(model="paddock/foal", training_file=file, suffix=me).id
    found: dict[str, Any] = {
        "made": {"endpoint": name, "file": file, "job": job},
        "text": Completion.create("paddock/foal", PROMPT, max_new_tokens=8, temperature=0.0).output.text,
        "endpoints": [one.name for one in Model.list().model_endpoints],
        "files": [one.id for one in File.list().files],
        "jobs": [one.id for one in FineTune.list().jobs],
    }
    if other is not None:
        theirs = other["made"]
        found["refused"] = {
            "get": raised(lambda: Model.get(theirs["endpoint"])),
            "change": raised(lambda: Model.update(theirs["endpoint"], per_worker=2)),
            "delete": raised(lambda: Model.delete(theirs["endpoint"])),
            "ask": raised(lambda: Completion.create(theirs["endpoint"], PROMPT)),
            "read": raised(lambda: File.download(theirs["file"])),
            "tune": raised(lambda: FineTune.get(theirs["job"])),
            "cancel": raised(lambda: FineTune.cancel(theirs["job"])),
        }
    for kind, key in (("wrong", "paddock_no"), ("inference", os.environ["ONLY_INFERENCE"])):
        api_engine.set_api_key(key)
        found[kind] = raised(lambda: Model.delete(name))
    return found


def cortecs(me: str, other: Any) -> dict[str, Any]:
    from cortecs_py import Cortecs  # the other one
    from openai import OpenAI

    client = Cortecs()
    made = client.start(os.environ["MODEL"], context_length=256, poll_interval=0.1, max_retries=300)
    chat = OpenAI(base_url=made.base_url, api_key=os.environ["CORTECS_CLIENT_SECRET"])
    answer = chat.completions.create(model="paddock/foal", prompt=PROMPT, max_tokens=8, temperature=0)
    found: dict[str, Any] = {
        "made": {"instance": made.instance_id, "url": made.base_url},
        "text": answer.choices[0].text,
        "instances": [one.instance_id for one in client.get_all_instances()],
    }
    if other is not None:
        theirs = OpenAI(base_url=other["made"]["url"], api_key=os.environ["CORTECS_CLIENT_SECRET"])
        found["refused"] = {
            "get": raised(lambda: client.get_instance(other["made"]["instance"])),
            "stop": raised(lambda: client.stop(other["made"]["instance"])),
            "delete": raised(lambda: client.delete(other["made"]["instance"])),
            "restart": raised(lambda: client.restart(other["made"]["instance"])),
            "ask": raised(lambda: theirs.completions.create(model="paddock/foal", prompt=PROMPT)),
        }
    found["wrong"] = raised(lambda: Cortecs(client_id=me, client_secret="paddock_wrong").get_all_instances())
    return found


def raised(call: Callable[[], Any]) -> list[str] | None:
    try:
        call()
    except Exception as error:  # which one it is, is what the test asks for
        return [type(error).__name__, str(error)]
    return None


if __name__ == "__main__":
    json.dump(
        {"llm_engine": llm_engine, "cortecs": cortecs}[sys.argv[1]](sys.argv[2], json.loads(sys.argv[3])),
        sys.stdout,
    )
