"""From `paddock serve` to the first token, beside the engine's own start; import time; size of the install.

`python -m bench.startup [--quick] [--install-size]`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench import contestants, foal, footprint, report, servers
from bench.servers import free_port

FIRST, AGAIN, ENGINE = "paddock serve, the very first time", "paddock serve, later", "the engine alone"
LIMIT = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two starts of each")
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument(
        "--install-size", action="store_true", help="also install into a fresh venv, and weigh it"
    )
    arguments = parser.parse_args()
    starts = 2 if arguments.quick else arguments.starts
    servers.end_on_sigterm()
    report.header(
        "Startup", f"Seconds from the command to foal's first token; medians of {starts} starts in turns."
    )
    targets = _first_tokens(starts)
    targets.append(footprint.import_time())
    if arguments.install_size:
        targets.append(footprint.install_size())
    report.targets(targets)


def _first_tokens(starts: int) -> list[report.Target]:
    seconds: dict[str, list[float]] = {FIRST: [], AGAIN: [], ENGINE: []}
    for _ in range(starts):
        with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
            folder = Path(name)
            seconds[FIRST].append(_paddock(folder))
            seconds[AGAIN].append(_paddock(folder))
            seconds[ENGINE].append(_engine(folder))
    medians = {what: statistics.median(values) for what, values in seconds.items()}
    rows = [[what, f"{medians[what]:.2f}", f"{min(v):.2f}", f"{max(v):.2f}"] for what, v in seconds.items()]
    report.table(["to the first token", "median, s", "least", "most"], rows)
    return [
        report.Target(
            f"{what}, beyond the engine's own start", medians[what] - medians[ENGINE], LIMIT, True, " s"
        )
        for what in (FIRST, AGAIN)
    ]


def _paddock(folder: Path) -> float:
    """Converts the weights if `folder`, its data folder, is empty."""
    port = free_port()
    argv = [contestants.PADDOCK, "serve", "--port", str(port)]
    settings = {"PADDOCK_DATA_DIR": str(folder)}
    began = time.perf_counter()
    with servers.started("Paddock", argv, folder, port, env=settings) as server:
        return foal.seconds_to_first_token(server, began)


def _engine(folder: Path) -> float:
    port = free_port()
    command = foal.engine_command(folder, port)
    began = time.perf_counter()
    with servers.started("engine", command.argv, folder, port, env=command.env) as server:
        return foal.seconds_to_first_token(server, began)


if __name__ == "__main__":
    main()
