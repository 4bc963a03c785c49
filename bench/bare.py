"""The gateway alone: it relays, asks nobody for a key and counts nothing.

`python -m bench.bare --port 8800 --attach NAME=http://host:port/v1`: what `paddock serve` answers requests
with, in one process, without a store, a ledger or a control plane. Other settings come from the environment.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket

import uvloop

from paddock import settings
from paddock.control.attach import attach
from paddock.gateway.server import BACKLOG
from paddock.inference.routing import Directory
from paddock.main.front import build_gateway
from paddock.main.process import collect_seldom


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--attach", action="append", default=[], metavar="NAME=URL")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(arguments.port, arguments.attach))


async def _serve(port: int, specs: list[str]) -> None:
    chosen = settings.load({"port": port})
    directory = Directory([await attach(spec, chosen.request_timeout) for spec in specs])
    _, http = build_gateway(chosen, directory)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((chosen.host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        await http.listen_on(listener)
        collect_seldom()
        await ended.wait()
        await http.close()


if __name__ == "__main__":
    main()
