"""A real `paddock serve` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx2

T = TypeVar("T")
START_SECONDS = 60.0


@dataclass
class Server:
    """A running server. `stderr` is the file that its messages go to."""

    process: subprocess.Popen[bytes]
    url: str
    stderr: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def engines(self) -> list[int]:
        """Process ids of its engines."""
        return [
            pid for pid, parent, command in _processes() if parent == self.process.pid and "llama" in command
        ]

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample of /metrics; 0 if there is none."""
        for line in httpx2.get(f"{self.url}/metrics").text.splitlines():
            if line.startswith(name) and all(f'{label}="{value}"' in line for label, value in labels.items()):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """Starts `paddock serve` on a free port, with its data in `folder`, and ends it."""
    process, stderr = start(folder, *arguments, **environment)
    try:
        yield Server(process, wait_for_url(process, stderr), stderr)
    finally:
        stop(process)


def start(folder: Path, *arguments: str, **environment: str) -> tuple[subprocess.Popen[bytes], Path]:
    """The process and its standard error, without waiting for anything."""
    folder.mkdir(parents=True, exist_ok=True)
    stderr = folder / "stderr"
    command = [sys.executable, "-m", "paddock", "serve", "--data-dir", str(folder / "data"), *arguments]
    if "--port" not in arguments:
        command += ["--port", "0"]
    with stderr.open("wb") as errors, (folder / "stdout").open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env={**os.environ, **environment}
        )
    return process, stderr


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait(10)


def wait_for_url(process: subprocess.Popen[bytes], stderr: Path) -> str:
    def announced() -> str | None:
        match = re.search(r"Paddock serves .* at (http://\S+)", stderr.read_text())
        assert process.poll() is None, stderr.read_text()
        return match[1] if match else None

    return until(announced, START_SECONDS)


def until(condition: Callable[[], T | None], seconds: float) -> T:
    """What `condition` gives once it gives something true."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _processes() -> Iterator[tuple[int, int, str]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            yield int(folder.name), parent, command
