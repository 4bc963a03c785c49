"""Gets what the benchmarks need: nginx and wrk from Debian, LiteLLM from PyPI, the stub engine compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

LITELLM = "litellm[proxy]==1.106.2"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "paddock-bench"
SOURCE = Path(__file__).with_name("stub.c")


def program(name: str) -> str:
    """The path of `nginx` or `wrk`, installed from Debian when missing and this process may."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=search)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _say(f"installing {name}")
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", name]):
            subprocess.run(["apt-get", *command], env=environ, stdout=subprocess.DEVNULL, check=True)
        found = shutil.which(name, path=search)
    if found is None:
        raise SystemExit(f"{name} is missing: install it first (Debian: apt-get install -y nginx wrk)")
    return found


def litellm() -> Path:
    """The path of LiteLLM's proxy command, in a venv under the cache folder that is made when missing."""
    folder = CACHE / "litellm"
    command = folder / "bin" / "litellm"
    made_for = folder / "made-for"
    if not made_for.exists() or made_for.read_text() != LITELLM:
        _say(f"installing {LITELLM} (some minutes, once)")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", LITELLM], check=True)
        made_for.write_text(LITELLM)
    return command


def stub() -> Path | None:
    """The C stub engine, compiled; None when this machine has no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    binary = CACHE / "stub"
    if not binary.exists() or binary.stat().st_mtime < SOURCE.stat().st_mtime:
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / f"stub.{os.getpid()}"
        subprocess.run([compiler, "-O2", "-o", fresh, SOURCE], check=True)
        fresh.replace(binary)
    return binary


def _say(what: str) -> None:
    print(f"({what})", file=sys.stderr, flush=True)
