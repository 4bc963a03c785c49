"""Who stands above the seam: has a runner and a program, and knows no path, no process and no machine."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from paddock.engines.engine import Progress
from paddock.engines.llama_cpp.learn import learn
from paddock.engines.program import EngineProgram
from paddock.inference.connection import Body
from paddock.inference.upstream import Upstream
from paddock.runners.runner import Runner, Running

KEY = "a-key-for-tests"
PROGRAM = EngineProgram("paddock/foal", "foal", KEY, context_length=256, slots=2)


@dataclass
class Replica:
    """What its owner learned of it."""

    running: Running
    steps: list[Progress | Literal["loading"]]
    learned: dict[str, Any] = field(default_factory=dict)


async def start(runner: Runner, node: str, name: str) -> Replica:
    steps: list[Progress | Literal["loading"]] = []
    program = pickle.loads(pickle.dumps(PROGRAM))
    running = await runner.start(program, node=node, name=name, timeout=30, report=steps.append)
    return Replica(running, steps)


async def ask(running: Running) -> str:
    """What the model says after `The capital of France is`."""
    upstream = Upstream(f"{running.address}/v1", KEY, 10, running.facts["connections"])
    try:
        await learn(upstream)
        sink, prompt = Body(), {"prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
        await upstream.send(b"POST", b"/v1/completions", orjson.dumps({**prompt, "stop": ["."]}), sink)
        assert sink.status == 200, sink.data
        return str(orjson.loads(sink.data)["choices"][0]["text"])
    finally:
        upstream.close()
