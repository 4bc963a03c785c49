"""A cluster of two nodes on this machine, and a replica on the second: `python -m tests.process.ray_cluster`.

A process of its own, because Ray changes the one that it is used in. It prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray.cluster_utils import Cluster

from tests.process import owner
from tests.process.processes import marked, parent
from tests.process.ray_runner import RayRunner

NAME = "foal-on-the-second-node"
HOST = "127.0.0.2"


async def scenario(second: str) -> dict[str, Any]:
    runner = RayRunner()
    nodes = await runner.nodes()
    replica = await owner.start(runner, second, NAME)
    running = replica.running
    (engine,) = marked(NAME)
    found = {
        "nodes": len(nodes),
        "steps": sorted({step if isinstance(step, str) else step.step for step in replica.steps}),
        "address": running.address,
        "facts": running.facts,
        "handle": running.handle,
        "answer": await owner.ask(running),
        "log": (await running.read_log(0))[0],
        "ours": parent(engine) == os.getpid(),
    }
    # Its owner is started again, and has kept the handle only.
    adopted = await RayRunner().adopt(running.handle)
    assert adopted is not None
    found["answer of the adopted"] = await owner.ask(adopted)
    waiting = asyncio.ensure_future(running.wait())
    await adopted.stop()
    found["end"] = await waiting
    found["left"] = marked(NAME)
    found["adopted when gone"] = await RayRunner().adopt(running.handle)
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    # Ray takes this machine's address in the network for a node's otherwise, and listens there.
    ray_constants.ENABLE_RAY_CLUSTER = False
    began = time.monotonic()
    node: dict[str, Any] = {
        "node_ip_address": "127.0.0.1",
        "num_cpus": 1,
        "object_store_memory": 80 * 1024**2,
    }
    cluster: Any = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        there = {"PADDOCK_DATA_DIR": str(folder / "second"), "PADDOCK_HOST": HOST}
        second = cluster.add_node(**node, env_vars=there)
        ray.init(cluster.address, namespace="paddock", log_to_driver=False, logging_level=logging.ERROR)
        found = asyncio.run(scenario(second.node_id))
    finally:
        ray.shutdown()
        cluster.shutdown()
    found["seconds"] = time.monotonic() - began
    print(json.dumps(found))


if __name__ == "__main__":
    main()
