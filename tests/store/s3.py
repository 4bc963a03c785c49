"""S3-compatible storage on loopback: moto's server in a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2


@dataclass
class S3:
    """Gives out empty buckets."""

    url: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def environment(self) -> dict[str, str]:
        """What an operator sets to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def bucket(self) -> str:
        name = f"bucket-{next(self.numbers)}"
        httpx2.put(f"{self.url}/{name}").raise_for_status()
        return name

    def unfinished(self, bucket: str) -> int:
        """Multipart uploads that were begun and neither completed nor withdrawn."""
        answer = httpx2.get(f"{self.url}/{bucket}?uploads")
        answer.raise_for_status()
        return answer.text.count("<UploadId>")


@contextlib.contextmanager
def running() -> Iterator[S3]:
    program = "from moto.server import main; main()"
    command = [sys.executable, "-u", "-c", program, "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = None
        for line in process.stderr:
            if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
                break
        assert found is not None, "moto did not start"
        # Its log must not fill the pipe.
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            yield S3(found[1])
        finally:
            process.kill()
            drain.wait(10)
    finally:
        process.kill()
        process.wait(10)
        if process.stderr is not None:
            process.stderr.close()
