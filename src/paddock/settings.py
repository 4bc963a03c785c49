"""The only reader of the environment and of config files.

A value comes, in this order, from the command line, from the environment (`PADDOCK_PORT`), from
`paddock.toml` in the data folder, or from the default here. `docs/settings.md` lists them all.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddock.errors import StartupError

PREFIX = "PADDOCK_"
CONFIG_FILE = "paddock.toml"
HARDWARE_FILE = "hardware.toml"
PRICES_FILE = "prices.toml"
FIREWORKS_BASE_URL = "https://api.fireworks.ai/inference/v1"
LLM_ENGINE_BASE_URL = "https://api.spellbook.scale.com/llm-engine/"
CORTECS_BASE_URL = "https://cortecs.ai/api/v1"


def _setting(
    default: Any, doc: str, choices: tuple[str, ...] = (), least: float = 0, most: float = 2**31 - 1
) -> Any:
    """`least` and `most` bound a number; of a text `least` is the fewest characters."""
    return field(default=default, metadata={"doc": doc, "choices": choices, "least": least, "most": most})


@dataclass(frozen=True)
class Settings:
    """What the operator chose. Times are in seconds, sizes in bytes."""

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8800, "Port to listen on; 0 takes a free one.", most=65535)
    data_dir: Path = _setting(Path("~/.paddock"), "Folder for logs, converted weights and the store.")
    database_url: str | None = _setting(
        None,
        "PostgreSQL for the state, `postgresql://USER@HOST/NAME`, instead of SQLite in the data folder.",
    )
    secret_key: str | None = _setting(
        None,
        "Encrypts the keys that callers lend to a job, instead of a key in a file of the data folder: at"
        " least 32 random characters, the same on every machine of a store.",
        least=32,
    )
    blobs: str | None = _setting(
        None,
        "S3-compatible storage for the bytes of files, `s3://BUCKET/PREFIX`, instead of a folder of the data"
        " folder.",
    )
    workers: int = _setting(1, "Processes that answer requests, on one port.", least=1, most=64)
    jobs: int = _setting(
        4, "Jobs that one process runs at once; 0 leaves them to `paddock worker`s.", most=1000
    )
    public_url: str | None = _setting(
        None,
        "Address by which clients reach this server, for the URLs in answers; by default the request's host.",
    )
    require_keys: bool = _setting(
        False, "Answer nobody without an API key, also while the server listens on loopback."
    )
    allow_anonymous: bool = _setting(
        False,
        "Answer anybody without an API key, also while the server listens on other addresses, and on loopback"
        " any web page too.",
    )
    allow_path: str | None = _setting(
        None,
        "Folders below which callers of every project may name models and the files of jobs, separated by"
        " `:`; also `s3://` addresses, for jobs. Without it any model's folder and any `s3://` address may be"
        " named while the server listens on loopback and asks for no keys, and none otherwise.",
    )
    allow_private_urls: bool = _setting(
        False,
        "Let callers name addresses of this machine and of private networks where the server fetches or calls"
        " what they name, and `http://` beside `https://`.",
    )
    engine: str = _setting("auto", "Engine for local models.", ("auto", "llama.cpp"))
    llama_server: Path | None = _setting(
        None, "A natively compiled `llama-server` to use instead of the bundled wheel."
    )
    context_length: int = _setting(0, "Tokens of context for a request; 0 takes the model's own, up to 8192.")
    slots: int = _setting(0, "Requests that one engine decodes at once; 0 lets Paddock choose.")
    threads: int = _setting(
        0, "Threads of one engine; 0 lets Paddock choose: one for a small model, up to every core."
    )
    weights_type: str = _setting(
        "auto", "Type of converted weights; auto keeps the checkpoint's own.", ("auto", "F16", "BF16", "Q8_0")
    )
    embeddings: bool = _setting(False, "Let local models answer /embeddings too.")
    start_timeout: float = _setting(
        300.0, "Seconds that an engine may take from its start until it is ready.", least=1
    )
    queue_timeout: float = _setting(
        600.0, "Seconds that a replica waits for free hardware before it fails.", least=1
    )
    idle_timeout: float = _setting(
        300.0, "Seconds without a request after which a deployment with min_workers 0 falls asleep."
    )
    scale_down_after: float = _setting(
        30.0, "Seconds for which fewer replicas must have been enough before one is given up."
    )
    queue_size: int = _setting(
        2048, "Requests that wait for one replica, or for one to come, before more are refused with 429."
    )
    drain_timeout: float = _setting(
        30.0, "Seconds that running requests get to finish after the first SIGTERM."
    )
    request_timeout: float = _setting(
        600.0, "Seconds without a byte from the engine after which a request fails.", least=1
    )
    max_body: int = _setting(32 * 1024 * 1024, "Largest request body in bytes.", least=1)
    max_file: int = _setting(4 * 2**30, "Largest file that may be uploaded, in bytes.", least=1, most=2**36)
    fetch_timeout: float = _setting(
        300.0, "Seconds that a file may take to come which a caller names by its address.", least=1
    )
    usage_days: int = _setting(
        0,
        "Days for which the ledger keeps the rows of single requests and of instances' intervals; 0 keeps"
        " them for ever. Sums by the hour and by the day stay.",
        most=36_500,
    )
    log_level: str = _setting(
        "info", "Least severe level that is logged.", ("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "logfmt",
        "How log lines are written: `key=value` fields, or a JSON object a line.",
        ("logfmt", "json"),
    )
    access_log: bool = _setting(True, "Write a line for each answered request.")
    log_prompts: bool = _setting(
        False, "Log what models are asked and what they answer, up to 10,000 characters each."
    )
    otlp_endpoint: str | None = _setting(
        None,
        "Collector that takes traces by OTLP/HTTP, `http://HOST:4318`; by default the one that"
        " `OTEL_EXPORTER_OTLP_ENDPOINT` names, if it is set.",
    )
    base_url: str = _setting("http://127.0.0.1:8800", "Server that the commands talk to.")
    api_key: str | None = _setting(None, "Key that those commands send.")


def load(
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from the command line (`overrides`; None means not given), environment and config file.

    Raises:
        StartupError: a value has a wrong type, or the config file has an unknown name or is not TOML.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    values: dict[str, Any] = {}
    for spec in dataclasses.fields(Settings):
        name = PREFIX + spec.name.upper()
        if environ.get(name):
            values[spec.name] = _convert(spec, environ[name], name)
    data_dir = Path(given.get("data_dir") or values.get("data_dir") or Settings.data_dir).expanduser()
    values = {**_from_file(data_dir / CONFIG_FILE), **values, **given, "data_dir": data_dir}
    return Settings(**values)


def attach_key(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The API key for the attached server `name`: `PADDOCK_ATTACH_KEY_<NAME>`, other characters as `_`."""
    environ = os.environ if environ is None else environ
    # A key read from a file often brings the line's end along.
    return environ.get(attach_key_variable(name), "").strip() or None


def attach_key_variable(name: str) -> str:
    return f"{PREFIX}ATTACH_KEY_{re.sub('[^A-Za-z0-9]', '_', name).upper()}"


def wandb_defaults(environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """(key, base URL) that the operator has at Weights & Biases; empty if unset."""
    environ = os.environ if environ is None else environ
    return environ.get("WANDB_API_KEY", "").strip(), environ.get("WANDB_BASE_URL", "").strip()


def otlp_traces_endpoint(settings: Settings, environ: Mapping[str, str] | None = None) -> str | None:
    """The full URL that takes traces, from our setting or OpenTelemetry's variables; None for no traces.

    Raises:
        StartupError: it is not an HTTP address.
    """
    environ = os.environ if environ is None else environ
    endpoint = settings.otlp_endpoint
    if endpoint is None:
        off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        if off or environ.get("OTEL_TRACES_EXPORTER", "") not in ("", "otlp"):
            return None
        if full := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            return _http_address(full, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None
        if endpoint is None:
            return None
    return _http_address(endpoint, "otlp_endpoint or OTEL_EXPORTER_OTLP_ENDPOINT").rstrip("/") + "/v1/traces"


def _http_address(value: str, where: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise StartupError(f"{where} must begin with http:// or https://, not be {value!r}")
    return value


def fireworks_defaults(environ: Mapping[str, str] | None = None) -> tuple[str | None, str]:
    """(api key, base URL) as the published Fireworks client reads them from the environment."""
    environ = os.environ if environ is None else environ
    return environ.get("FIREWORKS_API_KEY"), environ.get("FIREWORKS_API_BASE", FIREWORKS_BASE_URL)


def llm_engine_defaults(environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """(api key, base URL) as the published LLM Engine client reads them from the environment."""
    environ = os.environ if environ is None else environ
    base_url = environ.get("LLM_ENGINE_BASE_PATH", LLM_ENGINE_BASE_URL)
    return environ.get("SCALE_API_KEY") or "root", base_url


def cortecs_defaults(
    environ: Mapping[str, str] | None = None,
) -> tuple[str | None, str | None, str, str | None]:
    """(client id, client secret, base URL, key for instances) as the published Cortecs client reads them."""
    environ = os.environ if environ is None else environ
    base_url = environ.get("CORTECS_API_BASE_URL") or CORTECS_BASE_URL
    credentials = environ.get("CORTECS_CLIENT_ID"), environ.get("CORTECS_CLIENT_SECRET")
    return *credentials, base_url, environ.get("OPENAI_API_KEY")


def read_toml(path: Path) -> dict[str, Any]:
    """What the TOML file says, unchecked; {} where there is no such file.

    Raises:
        StartupError: it cannot be read, or is not TOML.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"cannot read {path}: {error}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StartupError(f"{path} is not valid TOML: {error}") from error


def visible_gpus(environ: Mapping[str, str] | None = None) -> str | None:
    """`CUDA_VISIBLE_DEVICES`: indices or UUIDs of the GPUs that this process may use; None means all.

    An empty value means none, as it does to CUDA.
    """
    environ = os.environ if environ is None else environ
    return environ.get("CUDA_VISIBLE_DEVICES")


def _from_file(path: Path) -> dict[str, Any]:
    raw = read_toml(path)
    specs = {spec.name: spec for spec in dataclasses.fields(Settings)}
    unknown = sorted(set(raw) - set(specs))
    if unknown:
        raise StartupError(f"{path}: unknown setting {unknown[0]!r}; known are {', '.join(specs)}")
    if "data_dir" in raw:
        raise StartupError(f"{path}: data_dir is where this file is found; set PADDOCK_DATA_DIR instead")
    return {name: _convert(specs[name], value, f"{path}: {name}") for name, value in raw.items()}


def _convert(spec: dataclasses.Field[Any], value: Any, where: str) -> Any:
    kind, choices = str(spec.type), spec.metadata["choices"]
    if choices and value not in choices:
        raise StartupError(f"{where} must be one of {', '.join(choices)}, not {value!r}")
    try:
        if kind == "bool":
            return _boolean(value)
        if kind in ("int", "float"):
            number = int(str(value)) if kind == "int" else float(str(value))
            return _within(number, spec, where)
    except ValueError:
        raise StartupError(f"{where} must be of type {kind}, not {value!r}") from None
    if not isinstance(value, str):
        raise StartupError(f"{where} must be a string, not {value!r}")
    if len(value) < spec.metadata["least"]:
        raise StartupError(f"{where} must have at least {spec.metadata['least']} characters")
    return Path(value).expanduser() if kind.startswith("Path") else value


def _within(number: float, spec: dataclasses.Field[Any], where: str) -> float:
    least, most = spec.metadata["least"], spec.metadata["most"]
    # Written so that NaN is refused too.
    if not least <= number <= most:
        raise StartupError(f"{where} must be from {least:g} to {most:.10g}, not {number}")
    return number


def _boolean(value: Any) -> bool:
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    word = str(value).lower()
    if word not in words:
        raise ValueError(word)
    return words[word]
