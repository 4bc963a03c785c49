"""Starts the servers that a benchmark compares, each on its own free loopback port, and surely ends them."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Server:
    """A running server: `name` in tables, `port` on loopback, `log` of its output."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    name: str,
    argv: Sequence[str],
    folder: Path,
    port: int,
    ready: str,
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Iterator[Server]:
    """Runs `argv` in `folder` while the block lasts; entered once `GET ready` answers 200.

    Raises:
        RuntimeError: the server ended, or was not ready within `timeout` seconds; carries the end of its log.
    """
    with started(name, argv, folder, port, env=env) as server:
        wait_ready(server, ready, timeout)
        yield server


@contextlib.contextmanager
def started(
    name: str, argv: Sequence[str], folder: Path, port: int, *, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """As `running`, but entered at once."""
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - the benchmarks have no threads when they start servers
        )
    try:
        yield Server(name, port, process, log)
    finally:
        stop(process)


def output(argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """What a program that ends by itself writes to its stdout; run in `folder`.

    Raises:
        RuntimeError: it failed; carries the end of what it wrote to stderr.
    """
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        preexec_fn=_die_with_parent,
    )
    if done.returncode:
        errors = done.stderr.decode(errors="replace")
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{errors[-2000:]}")
    return done.stdout.decode()


def stop(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """Ends a process that was started as the head of its own session, and everything in its group."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _die_with_parent() -> None:
    """In a child, before exec: a benchmark that is killed takes its servers along."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_on_sigterm() -> None:
    """Makes SIGTERM unwind the benchmark as Ctrl-C does, so that its servers are ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def get_status(port: int, path: str, timeout: float = 5.0) -> int | None:
    """The status of `GET path`, or None when nothing answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def wait_ready(server: Server, path: str, timeout: float) -> None:
    """Returns once `GET path` answers 200.

    Raises:
        RuntimeError: the server ended, or was not ready within `timeout` seconds; carries the end of its log.
    """
    deadline = time.monotonic() + timeout
    while get_status(server.port, path) != 200:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} ended with {server.process.returncode}:\n{tail(server.log)}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} was not ready in {timeout:.0f} s:\n{tail(server.log)}")
        time.sleep(0.02)
