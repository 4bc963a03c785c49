"""A steady load of chats in the background, each on a connection of its own, sent once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import asking
from bench.asking import Asked
from bench.servers import Server, tail

TOKENS = 48


@dataclass(frozen=True)
class Sent:
    """A request, begun at `at` seconds since 1970, and how it was answered."""

    at: float
    asked: Asked

    @property
    def ended(self) -> float:
        return self.at + self.asked.seconds


@contextlib.contextmanager
def load(server: Server, model: str, clients: int) -> Iterator[list[Sent]]:
    """So many clients ask on and on while the block lasts; yields what was answered so far.

    When the block has been left all requests are answered.
    """
    over, sent = threading.Event(), list[Sent]()
    thread = threading.Thread(target=lambda: asyncio.run(_ask(server.port, model, clients, over, sent)))
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


def within(sent: Sequence[Sent], begin: float, end: float) -> list[Sent]:
    """Those that were under way at any moment between two times, in seconds since 1970."""
    return [one for one in sent if one.at <= end and one.ended >= begin]


def failed(sent: Sequence[Sent]) -> int:
    return sum(bool(one.asked.problem) for one in sent)


def tell(server: Server, sent: Sequence[Sent]) -> None:
    """Prints what was wrong, if anything was."""
    problems = [one.asked.problem for one in sent if one.asked.problem]
    for problem in sorted(set(problems))[:10]:
        print(f"({problems.count(problem)} times: {problem})")
    if problems:
        print(f"\nThe end of the server's log:\n{tail(server.log)}\n")


async def _ask(port: int, model: str, clients: int, over: threading.Event, sent: list[Sent]) -> None:
    async def ask_on(client: int) -> None:
        number = client
        while not over.is_set():
            at = time.time()
            request = asking.request(model, f"What is {number} plus {number % 7}?", TOKENS)
            sent.append(Sent(at, await asking.ask(port, request, TOKENS)))
            number += clients

    await asyncio.gather(*(ask_on(client) for client in range(clients)))
