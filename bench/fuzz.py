"""Schemathesis over the whole OpenAPI document, with a key that is good and with one that is not: is there an
answer that says the server is at fault?

`python -m bench.fuzz [--quick] [--seed N]`. The server runs no jobs, and is sent to nobody outside.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from bench import keys, report, servers
from bench.keys import ApiKey
from bench.servers import HOST, Server, free_port

READY_SECONDS = 60.0
CHAT = "/v1/chat/completions"
ROW = {
    "custom_id": "1",
    "method": "POST",
    "url": CHAT,
    "body": {"model": "pony", "messages": [{"role": "user", "content": "hi"}]},
}
EXAMPLE = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
WITHOUT_ENDING_THEM = (
    "--exclude-method",
    "DELETE",
    "--exclude-path-regex",
    "(/(stop|cancel|revoke)|stop-all)$",
)


@dataclass(frozen=True)
class Run:
    """
    Attributes:
        known: ids of what there is, by the names that paths give them; without them most paths lead nowhere.
    """

    what: str
    secret: str
    known: dict[str, str]
    options: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the random part")
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
    phases = "examples,coverage" if arguments.quick else "examples,coverage,fuzzing"
    servers.end_on_sigterm()
    report.header(
        "Every route",
        f"Schemathesis, phases {phases}, seed {seed}, over /openapi.json of a server of two processes. 503 is"
        " no fault of a model that is stopped, nor of /readyz.",
    )
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        key = keys.make(folder / "data", "fuzz", "farm", scopes=("inference", "manage", "admin"))
        with _serving(folder) as server:
            known = _make_things(server, key)
            runs = (
                Run("a key that is not known", "paddock_wrong", {}),
                Run("a good key, what there is", key.secret, known, WITHOUT_ENDING_THEM),
                Run("a good key, anything", key.secret, {}),
            )
            rows, failures = [], 0
            for run in runs:
                cases, failed = _fuzz(folder, server, run, phases, seed)
                rows.append([run.what, f"{cases:,}", str(failed)])
                failures += failed
        report.table(["asked with", "requests", "failures"], rows)
        report.targets([report.Target("failures", failures, 0, True)])


def _serving(folder: Path) -> AbstractContextManager[Server]:
    port = free_port()
    argv = [sys.executable, "-m", "paddock", "serve", "--data-dir", "data", "--port", str(port)]
    argv += ["--require-keys", "--workers", "2", "--jobs", "0", "--no-access-log"]
    env = {
        # What is made up here may look like a model of the hub.
        "HF_HUB_OFFLINE": "1",
        "PADDOCK_ALLOW_PRIVATE_URLS": "1",
        # Hundreds of deployments are made that there is no hardware for.
        "PADDOCK_QUEUE_TIMEOUT": "5",
    }
    return servers.running("paddock", argv, folder, port, "/readyz", env=env, timeout=READY_SECONDS)


def _make_things(server: Server, key: ApiKey) -> dict[str, str]:
    """One of everything."""
    headers = {"authorization": f"Bearer {key.secret}"}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=READY_SECONDS) as client:

        def made(path: str, body: object) -> dict[str, str]:
            answer = client.post(path, json=body)
            answer.raise_for_status()
            found: dict[str, str] = answer.json()
            return found

        def stored(purpose: str, rows: Sequence[object]) -> str:
            content = "\n".join(json.dumps(row) for row in rows).encode()
            files, data = {"file": ("rows.jsonl", content)}, {"purpose": purpose}
            return str(client.post("/v1/files", files=files, data=data).raise_for_status().json()["id"])

        deployment = made("/api/v1/deployments", {"model": "foal", "name": "pony", "min_workers": 0})
        file, data = stored("batch", [ROW]), stored("fine-tune", [EXAMPLE] * 4)
        batch = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
        tune = {"model": "paddock/foal", "training_file": data}
        hook = {"url": f"http://{HOST}:9/hook", "events": ["*"]}
        return {
            "name": "pony",
            "model": "pony",
            "model_id": "paddock--foal",
            "instance": deployment["id"],
            "instance_id": deployment["id"],
            "file": file,
            "batch": made("/v1/batches", batch)["id"],
            "job": made("/v1/fine_tuning/jobs", tune)["id"],
            "webhook": made("/api/v1/webhooks", hook)["id"],
            "delivery": "1",
            "key": made("/api/v1/keys", {"name": "another"})["id"],
            "project": "farm",
        }


def _fuzz(folder: Path, server: Server, run: Run, phases: str, seed: int) -> tuple[int, int]:
    """How many requests were made, and how many kinds of failure they met, which are printed."""
    config = folder / "schemathesis.toml"
    known = "\n".join(f'"path.{name}" = {json.dumps(value)}' for name, value in run.known.items())
    config.write_text(f"[parameters]\n{known}\n")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
    command += ["run", f"{server.url}/openapi.json", "--phases", phases, "--checks", "no_fault"]
    command += ["--header", f"Authorization: Bearer {run.secret}", "--seed", str(seed), "--workers", "1"]
    command += ["--max-examples", "20", "--max-time", "180", "--request-timeout", "20", "--no-color"]
    command += ["--continue-on-failure", "--warnings", "off", *run.options]
    hooks = {"SCHEMATHESIS_HOOKS": "bench.fuzz_hooks", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **hooks}, capture_output=True, text=True, check=False
    )
    cases = re.search(r"(\d+) generated", done.stdout)
    if cases is None:
        raise RuntimeError(f"schemathesis ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    found = re.search(r"found (\d+) unique failures", done.stdout)
    failed = int(found[1]) if found else int(done.returncode != 0)
    if failed:
        print(done.stdout)
    return int(cases[1]), failed


if __name__ == "__main__":
    main()
