"""One HTTP client for each server, shared by all threads of this process."""

from __future__ import annotations

import atexit
import os
import threading

import httpx2

from paddock.clients.transport.connecting import client_options


class _Pool:
    def __init__(self) -> None:
        self.clients: dict[str, httpx2.Client] = {}
        self.lock = threading.Lock()
        self.inherited: list[httpx2.Client] = []


_pool = _Pool()


def client_for(origin: str) -> httpx2.Client:
    """The client whose connections to `origin` (scheme, host, port) are kept open between requests."""
    client = _pool.clients.get(origin)
    if client is None:
        with _pool.lock:
            client = _pool.clients.get(origin)
            if client is None:
                client = _pool.clients[origin] = httpx2.Client(**client_options(origin))
    return client


def close_clients() -> None:
    """Close every connection that no request uses; a later request opens a new one."""
    with _pool.lock:
        clients = list(_pool.clients.values())
        _pool.clients.clear()
    for client in clients:
        client.close()


def _begin_anew_after_fork() -> None:
    # Parent and child must not read from the same sockets. They are kept, not closed: another thread of
    # the parent may have held the pool's lock at the fork, and closing would wait for it for ever.
    _pool.lock = threading.Lock()
    _pool.inherited.extend(_pool.clients.values())
    _pool.clients.clear()


atexit.register(close_clients)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_after_fork)
