"""Load from wrk: one thread, keep-alive connections, POST requests whose answers are counted when whole."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench import answers, install
from bench.servers import HOST

PATH = "/v1/chat/completions"
MARK = "RESULT "
NO_KEY = "none"
SCRIPT = """
wrk.method = "POST"
wrk.path = "{path}"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.body = [==[{body}]==]
function done(summary, latency, requests)
  local e = summary.errors
  local errors = e.status + e.connect + e.read + e.write + e.timeout
  io.write(string.format(
    '{mark}{{"seconds":%f,"answers":%d,"bytes":%d,"errors":%d,"p50":%f,"p99":%f}}\\n',
    summary.duration / 1e6, summary.requests, summary.bytes, errors,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Measured:
    """What is loaded: the chat endpoint at `port`, with this request and key over so many connections."""

    port: int
    body: bytes
    connections: int
    key: str = NO_KEY


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw: whole answers, all bytes received, latencies of whole answers in ms."""

    seconds: float
    answers: int
    bytes: int
    errors: int
    p50: float
    p99: float

    def rate(self, length: int) -> float:
        """Answers per second; those under way at the end count by their share of `length`, the bytes of one.

        A server whose answers take seconds would otherwise lose up to a quarter of its figure.
        """
        return max(self.answers, self.bytes / length) / self.seconds


def request_body(stream: bool, model: str = answers.MODEL) -> bytes:
    """A chat request as an OpenAI client sends it."""
    system = {"role": "system", "content": "You are a helpful assistant who knows horses."}
    user = {"role": "user", "content": "What can a foal do on its first day?"}
    request = {"model": model, "messages": [system, user], "max_tokens": 64, "temperature": 0.7}
    return json.dumps(request | ({"stream": True} if stream else {})).encode()


def run(measured: Measured, folder: Path, seconds: float) -> Load:
    """Loads the server. A chunked answer counts only when its last chunk has come."""
    script = folder / "load.lua"
    body = measured.body.decode()
    script.write_text(SCRIPT.format(path=PATH, key=measured.key, body=body, mark=MARK))
    argv = [install.program("wrk"), "-t1", f"-c{measured.connections}", f"-d{max(1, round(seconds))}s"]
    argv += ["--timeout", "30s", "-s", str(script), f"http://{HOST}:{measured.port}"]
    return _parse(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def _parse(output: str) -> Load:
    line = next((line for line in output.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise RuntimeError(f"wrk printed no result:\n{output}")
    return Load(**json.loads(line.removeprefix(MARK)))
