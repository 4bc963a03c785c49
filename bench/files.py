"""A gigabyte stored and read back in both dialects: the server's memory, and its time beside a copy's.

`python -m bench.files [--quick] [--megabytes 1024] [--rounds 3]`.
"""

from __future__ import annotations

import argparse
import codecs
import hashlib
import json
import os
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from bench import api, contestants, jobs, processes, report, servers
from bench.servers import HOST, Server

PIECE = 256 * 1024
MEGABYTE = 2**20
MEGABYTES = 30
"""How much more memory than while it is idle the server may have."""
COPY = "cp and fsync"
DIALECTS = {"OpenAI": f"{jobs.OPENAI}/files", "LLM Engine": f"{jobs.LLM_ENGINE}/v1/files"}
_BEGIN, _END = '"content":"', '"}'
_WHOLE = re.compile(r"(?:[^\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+")
"""As much of a JSON string as ends with no half of an escape."""


@dataclass
class Way:
    """A way to have the file's bytes go once to the disk, or come back, and what was seen of it.

    Attributes:
        run: gives the seconds that it took.
        peaks: MB that the server had at most meanwhile.
    """

    name: str
    run: Callable[[], float]
    seconds: list[float]
    peaks: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MB, one round")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    megabytes, rounds = (64, 1) if arguments.quick else (arguments.megabytes, arguments.rounds)
    servers.end_on_sigterm()
    how = (
        f"A text of {megabytes:,} MB is uploaded and downloaded in pieces, {rounds} rounds in turns, medians."
        " Checksums are compared. Memory is the most that the server's process had, as the kernel saw it."
    )
    report.header("Files", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        with contestants.stub(folder) as engine, contestants.paddock(engine.url, folder) as paddock:
            _measure(paddock, folder, megabytes, rounds)


def _measure(paddock: Server, folder: Path, megabytes: int, rounds: int) -> None:
    source = folder / "source.txt"
    checksum = _write(source, megabytes)
    ways = [Way(COPY, lambda: _copy(source, folder / "copied.txt"), [], [])]
    for dialect, path in DIALECTS.items():
        ways += _of_dialect(dialect, path, paddock, source, checksum)
    processes.settle(paddock)
    idle = processes.resident(paddock)
    for _ in range(rounds):
        for way in ways:
            processes.settle(paddock)
            processes.forget_peak(paddock)
            way.seconds.append(way.run())
            way.peaks.append(processes.peak(paddock))
    copied = statistics.median(ways[0].seconds)
    rows = []
    for way in ways:
        took = statistics.median(way.seconds)
        memory = f"{max(way.peaks):.1f}" if way.name != COPY else ""
        rows.append([way.name, report.number(megabytes / took), f"{copied / took:.3f}", memory])
    rows.append(["idle", "", "", f"{idle:.1f}"])
    report.table(["", "MB/s", "of the copy", "memory, most, MB"], rows)
    most = max(max(way.peaks) for way in ways)
    report.targets([report.Target("memory, most - idle", most - idle, MEGABYTES, True, " MB")])


def _of_dialect(dialect: str, path: str, paddock: Server, source: Path, checksum: str) -> list[Way]:
    stored: list[str] = []
    is_text = path == DIALECTS["LLM Engine"]

    def upload() -> float:
        began = time.perf_counter()
        stored.append(_upload(paddock.port, path, source, {} if is_text else {"purpose": "user_data"}))
        return time.perf_counter() - began

    def download() -> float:
        one = f"{path}/{stored.pop()}"
        began = time.perf_counter()
        found = _download(paddock.port, f"{one}/content", is_text)
        took = time.perf_counter() - began
        if found != checksum:
            raise RuntimeError(f"what {dialect} gives back is not what was stored: {found} {checksum}")
        with api.connected(paddock.port) as client:
            client.send("DELETE", one)
        return took

    return [Way(f"{dialect}: upload", upload, [], []), Way(f"{dialect}: download", download, [], [])]


def unescaped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The text of the last field, `content`, of a JSON object that comes in pieces.

    Raises:
        RuntimeError: the object has no end.
    """
    # Pieces end in the middle of characters, and of escapes.
    decoder = codecs.getincrementaldecoder("utf-8")()
    held, begun = "", False
    for piece in pieces:
        held += decoder.decode(piece)
        if not begun:
            _, begun_by, held = held.partition(_BEGIN) if _BEGIN in held else ("", "", held)
            begun = bool(begun_by)
        if begun:
            found = _WHOLE.match(held, 0, max(0, len(held) - len(_END)))
            cut = found.end() if found else 0
            yield _plain(held[:cut])
            held = held[cut:]
    if not begun or not held.endswith(_END):
        raise RuntimeError(f"the answer ends with {held[-20:]!r}")
    yield _plain(held.removesuffix(_END))


def _plain(escaped: str) -> bytes:
    text: str = json.loads(f'"{escaped}"')
    return text.encode()


def _write(path: Path, megabytes: int) -> str:
    """Writes so much text, with what JSON must escape in it; gives its checksum."""
    chance = random.Random(0)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            line = f'{chance.random()} says "é", a \\, a tab\t, and €, {"which is no more. " * 10}\n'.encode()
            data = (line * (MEGABYTE // len(line))).ljust(MEGABYTE)
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> float:
    began = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", str(source), str(target)], check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    took = time.perf_counter() - began
    target.unlink()
    return took


def _upload(port: int, path: str, source: Path, fields: dict[str, str]) -> str:
    """The id of the file that was stored."""
    head, tail = jobs.form(source.name, fields)
    connection = HTTPConnection(HOST, port, timeout=600)
    try:
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", jobs.FORM)
        connection.putheader("Content-Length", str(len(head) + source.stat().st_size + len(tail)))
        connection.endheaders(head)
        with source.open("rb") as file:
            while piece := file.read(PIECE):
                connection.send(piece)
        connection.send(tail)
        return str(json.loads(_checked(connection.getresponse()).read())["id"])
    finally:
        connection.close()


def _download(port: int, path: str, is_text: bool) -> str:
    """The checksum of a stored file."""
    digest = hashlib.sha256()
    connection = HTTPConnection(HOST, port, timeout=600)
    try:
        connection.request("GET", path)
        response = _checked(connection.getresponse())
        pieces = iter(lambda: response.read(PIECE), b"")
        for piece in unescaped(pieces) if is_text else pieces:
            digest.update(piece)
    finally:
        connection.close()
    return digest.hexdigest()


def _checked(response: HTTPResponse) -> HTTPResponse:
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {response.read()[:500]!r}")
    return response


if __name__ == "__main__":
    main()
