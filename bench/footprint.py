"""What Paddock costs before it serves: the size of its base install, and the time to import a client."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from bench import machine, report

OURS, THEIRS = "paddock.clients.fireworks", "openai"
TIMED = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def install_size() -> report.Target:
    """Megabytes that `pip install .` without extras adds to an empty virtual environment."""
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        source, folder = Path(name) / "source", Path(name) / "venv"
        left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
        shutil.copytree(machine.ROOT, source, ignore=left_out)  # a build must not find what older ones left
        venv.create(folder, with_pip=True)
        empty = _megabytes(folder)
        subprocess.run([folder / "bin" / "pip", "install", "-q", source], check=True)
        return report.Target("base install", _megabytes(folder) - empty, 300, at_most=True, unit=" MB")


def import_time(runs: int = 11) -> report.Target:
    """The time to import our Fireworks client as a share of that to import `openai`, in turns, medians."""
    seen: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for module in seen:
        _import_seconds(module)  # writes the bytecode
    for _ in range(runs):
        for module, seconds in seen.items():
            seconds.append(_import_seconds(module))
    medians = {module: statistics.median(seconds) for module, seconds in seen.items()}
    report.table(["import", "ms"], [[module, f"{median * 1e3:.0f}"] for module, median in medians.items()])
    return report.Target(f"import {OURS} / {THEIRS}", medians[OURS] / medians[THEIRS], 1.0, at_most=True)


def _import_seconds(module: str) -> float:
    argv = [sys.executable, "-c", TIMED.format(module)]
    return float(subprocess.run(argv, capture_output=True, check=True).stdout)


def _megabytes(folder: Path) -> float:
    """As `du -sm`, which counts blocks, but not rounded up."""
    done = subprocess.run(["du", "-sk", str(folder)], capture_output=True, check=True)
    return int(done.stdout.split()[0]) / 1024
