"""`python -m paddock.main.worker`: one of several gateway processes; its environment says what it serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import uvloop

from paddock.control.attach import attach
from paddock.errors import PaddockError, Unavailable
from paddock.main.front import new_front
from paddock.main.platforms import open_platform
from paddock.main.process import collect_seldom, log_to_stderr
from paddock.main.worker_config import CONFIG, WorkerConfig


def main() -> None:
    config = WorkerConfig.from_json(json.loads(os.environ.pop(CONFIG)))
    log_to_stderr(config.settings)
    try:
        uvloop.run(_serve(config))
    except PaddockError as error:
        raise SystemExit(f"paddock: {error.message}") from None


async def _serve(config: WorkerConfig) -> None:
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, signals.put_nowait, signal.SIGTERM)
    # Ctrl-C in a terminal goes to the whole group; the parent passes on what it means.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    settings = config.settings
    attached = [await attach(spec, settings.request_timeout) for spec in config.attached]
    platform = open_platform(settings, (), [one.name for one in attached])
    identity = f"{os.uname().nodename}-{secrets.token_hex(6)}"
    front = new_front(settings, attached, platform, identity)
    front.app.refusal = Unavailable("the server is starting", code="starting", retry_after=1)
    try:
        await front.follow(platform)
        front.share_metrics(Path(config.folder))
        await front.http.listen_on(socket.socket(fileno=config.listener))
        serving = asyncio.ensure_future(front.until_served(config.names))
        stopped = asyncio.ensure_future(signals.get())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        front.app.refusal = None
        collect_seldom()
        with contextlib.suppress(OSError):
            os.write(config.tell, b"ready")
            os.close(config.tell)
        await stopped
        again = asyncio.ensure_future(signals.get())
        await front.drain(again, lambda text: print(text, file=sys.stderr, flush=True))
        again.cancel()
    finally:
        await front.close()
        platform.close()


if __name__ == "__main__":
    main()
