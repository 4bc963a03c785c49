"""The servers that stand between a client and the stub engine: nginx, LiteLLM's proxy, Paddock."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import answers, install
from bench.servers import HOST, Server, free_port, get_status, running

Field = tuple[Server, list[Server], Path]
PADDOCK = str(Path(sys.executable).with_name("paddock"))
# As nginx's own guide advises for an upstream: HTTP/1.1, no `Connection` header, idle connections kept.
NGINX_CONFIG = """
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    keepalive_requests 100000000;
    upstream engine {{
        server {engine};
        keepalive 1024;
        keepalive_requests 100000000;
    }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
# Everything that LiteLLM does beyond relaying and can be told to leave out is left out: no logs, no database,
# no callbacks, no retries, no health checks in the background.
LITELLM_CONFIG = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: {engine}/v1
      api_key: none
litellm_settings:
  set_verbose: false
  num_retries: 0
  request_timeout: 600
  drop_params: false
general_settings:
  disable_spend_logs: true
  disable_error_logs: true
  background_health_checks: false
router_settings:
  num_retries: 0
  disable_cooldowns: true
"""
LITELLM_ENV = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # no keys to check, as for the others
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PYTHONUNBUFFERED": "1",
}


@contextlib.contextmanager
def all_of_them(cores: int, without: Sequence[str] = ()) -> Iterator[Field]:
    """The stub engine; before it nginx, LiteLLM with one and with two workers, and Paddock; their folder."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paddock-bench-")))
        engine = stack.enter_context(stub(folder))
        proxies = [stack.enter_context(nginx(engine, folder, cores))]
        if "litellm" not in without:
            for workers in (1, 2):
                proxies.append(stack.enter_context(litellm(engine, folder, workers)))
        if "paddock" not in without:
            proxies.append(stack.enter_context(paddock(engine.url, folder)))
        yield engine, proxies, folder


@contextlib.contextmanager
def stub(folder: Path) -> Iterator[Server]:
    """The stub engine in C, or without a C compiler in Python."""
    folder = _own(folder, "stub")
    port = free_port()
    binary = install.stub()
    if binary is None:
        argv = [sys.executable, "-m", "bench.stub", "--port", str(port)]
        env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    else:
        answers.write_pieces(folder)
        argv, env = [str(binary), str(folder), str(port)], {}
    with running("direct", argv, folder, port, "/health", env=env) as server:
        yield server


def step(engine: Server, milliseconds: int) -> None:
    """Makes the stub engine take so long for each token of its streams; 0: as fast as it can."""
    get_status(engine.port, f"/step/{milliseconds}")


def coalesce(engine: Server, chunks: int) -> None:
    """Makes the stub engine put so many chunks of a stream into one write."""
    get_status(engine.port, f"/coalesce/{chunks}")


@contextlib.contextmanager
def nginx(engine: Server, folder: Path, workers: int) -> Iterator[Server]:
    folder = _own(folder, "nginx")
    port = free_port()
    config = folder / "nginx.conf"
    names = {
        "workers": workers,
        "folder": folder,
        "engine": f"{HOST}:{engine.port}",
        "host": HOST,
        "port": port,
    }
    config.write_text(NGINX_CONFIG.format(**names))
    argv = [install.program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(config)]
    with running("nginx", argv, folder, port, "/health") as server:
        yield server


@contextlib.contextmanager
def litellm(engine: Server, folder: Path, workers: int) -> Iterator[Server]:
    name = f"LiteLLM x{workers}"
    folder = _own(folder, f"litellm-{workers}")
    port = free_port()
    config = folder / "config.yaml"
    config.write_text(LITELLM_CONFIG.format(model=answers.MODEL, engine=engine.url))
    argv = [str(install.litellm()), "--config", str(config), "--host", HOST, "--port", str(port)]
    argv += ["--num_workers", str(workers)]
    with running(name, argv, folder, port, "/health/liveliness", env=LITELLM_ENV, timeout=180) as server:
        yield server


@contextlib.contextmanager
def paddock(
    engine_url: str,
    folder: Path,
    *,
    name: str = "Paddock",
    model: str = answers.MODEL,
    command: Sequence[str] = (PADDOCK,),
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Paddock in front of the engine at `engine_url`, with a data folder of its own.

    Its other settings are the defaults, but that the access log is off, as it is for the others.

    Args:
        command: what takes the arguments of `paddock`.
    """
    folder = _own(folder, name.lower().replace(" ", "-").replace(",", ""))
    port = free_port()
    argv = [*command, "serve", "--attach", f"{model}={engine_url}/v1", "--port", str(port), *options]
    settings = {"PADDOCK_DATA_DIR": str(folder / "data"), "PADDOCK_ACCESS_LOG": "false", **(env or {})}
    with running(name, argv, folder, port, "/healthz", env=settings) as server:
        yield server


@contextlib.contextmanager
def uncounted(engine_url: str, folder: Path, name: str) -> Iterator[Server]:
    """`paddock serve` that counts nothing: see `bench.uncounted`."""
    command = [sys.executable, "-m", "bench.uncounted"]
    env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with paddock(engine_url, folder, name=name, command=command, env=env) as server:
        yield server


@contextlib.contextmanager
def bare(engine_url: str, folder: Path, name: str) -> Iterator[Server]:
    """Paddock's gateway in front of that engine, which only relays: see `bench.bare`."""
    folder = _own(folder, "bare")
    port = free_port()
    argv = [sys.executable, "-m", "bench.bare", "--attach", f"{answers.MODEL}={engine_url}/v1"]
    env = {
        "PADDOCK_DATA_DIR": str(folder / "data"),
        "PADDOCK_ACCESS_LOG": "false",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    with running(name, [*argv, "--port", str(port)], folder, port, "/healthz", env=env) as server:
        yield server


def _own(folder: Path, name: str) -> Path:
    own = folder / name
    own.mkdir()
    return own
