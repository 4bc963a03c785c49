"""The file beside an output that tells which batch makes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from paddock.cli.files_written import new_file
from paddock.errors import StartupError


@dataclass(frozen=True)
class State:
    """
    Attributes:
        server: its address.
        batch: the batch's id there.
        input: SHA-256 of the lines that were sent.
    """

    server: str
    batch: str
    input: str


def path_of(out: Path) -> Path:
    """`OUT.batch`."""
    return out.with_name(f"{out.name}.batch")


def load(out: Path) -> State | None:
    """What was kept for this output; None if nothing was.

    Raises:
        StartupError: the file cannot be read, or is not what `save` wrote.
    """
    path = path_of(out)
    try:
        value = json.loads(path.read_bytes())
        return State(**{name: str(value[name]) for name in State.__annotations__})
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError):
        raise StartupError(
            f"{path} should tell which batch makes {out}, and is not understood: use --restart to send the"
            " prompts anew, or remove it to look for the batch among the server's newest"
        ) from None


def save(out: Path, state: State) -> None:
    """
    Raises:
        PaddockError: the file cannot be written.
    """
    with new_file(path_of(out)) as file:
        file.write(json.dumps(asdict(state), indent=2).encode())


def forget(out: Path) -> None:
    path_of(out).unlink(missing_ok=True)
