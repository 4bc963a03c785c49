"""The models that are known here, and what a caller means by a name, a path or a hub id."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddock.errors import InvalidRequest, ModelNotFound, StartupError
from paddock.weights.facts import ModelFacts, describe
from paddock.weights.gguf_header import shard_files
from paddock.weights.resolve import BUNDLED, HUB, HUB_ID, MODELS, TUNED, Weights, list_models, resolve

# What the hub said is believed for a while, and a refusal for a moment: who asks again need not wait again.
HUB_SECONDS = 60.0
REFUSAL_SECONDS = 5.0
LISTED = 30

Signature = tuple[tuple[str, int, int], ...]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """A model on this machine. `source`: what finds its weights again, see `ModelFacts`."""

    weights: Weights
    source: str


class Catalogue:
    """What may be deployed: the bundled model, what is in `data_dir/models`, and what was named at the start.

    Its methods read files, again only when they changed; `find` may ask the hub, for 10 seconds at most.
    They may be called from any thread.

    Args:
        extra: paths or hub ids that the operator named on the command line; every caller may use them.

    Raises:
        StartupError: one of `extra` is neither.
    """

    def __init__(
        self, data_dir: Path, extra: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = data_dir / "models"
        self._clock = clock
        self._described: dict[Path, tuple[Signature, ModelFacts | StartupError]] = {}
        self._asked: dict[str, tuple[float, ModelFacts | StartupError]] = {}
        self._fixed: dict[str, Known] = {}
        self._remote: dict[str, str] = {}
        for text in [*BUNDLED.values(), *extra]:
            self._add(text)
        self._known = self._look()

    def all(self, tuned: Sequence[ModelFacts] = ()) -> list[ModelFacts]:
        """Every model by its facts, sorted by name; one that cannot be read is left out. Asks nobody.

        Args:
            tuned: the caller's own: see `tuned_models.known`.
        """
        self._known = self._look()
        found = {one.name: one for one in tuned}
        for name, known in self._known.items():
            try:
                found.setdefault(name, self._describe(known))
            except StartupError as error:
                log.debug("%s is not offered: %s", name, error.message)
        for name, text in self._remote.items():
            found.setdefault(name, self._remembered(text))
        return [found[name] for name in sorted(found)]

    def find(self, name: str, allowed: Sequence[Path] | None, tuned: Sequence[ModelFacts] = ()) -> ModelFacts:
        """The model that a caller means: a full name, its last segment where one model only has it, its
        Cortecs id (`--` for `/`), an absolute path, or a hub id. `source` finds it too.

        Args:
            allowed: folders below which a path may lie; None allows every path.
            tuned: the caller's own: see `tuned_models.known`.

        Raises:
            ModelNotFound: nothing is called so, here or on the hub.
            InvalidRequest: several are, or the path is not one that may be named.
            StartupError: it is there and cannot be read; says why.
        """
        own = {one.name: one for one in tuned}
        if name.startswith(TUNED):
            return self._tuned(name, tuned)
        text = name.removeprefix(MODELS)
        if text in own:
            return own[text]
        if text in self._known and self._is_there(self._known[text]):
            return self._describe(self._known[text])
        self._known = self._look()
        spellings = [text, text.replace("--", "/")] if "/" not in text else [text]
        for spelling in spellings:
            if found := self._named(spelling, own):
                return found
        if text.startswith(("/", "~", ".")):
            return self._at(text, allowed)
        for spelling in spellings:
            if HUB_ID.fullmatch(spelling.removeprefix(HUB)):
                return self._on_hub(spelling.removeprefix(HUB), name)
        raise self._unknown(name, own=own)

    def _add(self, text: str) -> None:
        """Takes what the operator named; like on a command line, a path may be relative."""
        id = text.removeprefix(HUB)
        here = id == text and (text in BUNDLED or Path(text).exists())
        if HUB_ID.fullmatch(id) and not here:
            self._remote[_unseen(id).name] = id
            return
        weights = resolve(text, models=self._folder)
        source = weights.name if weights.name in BUNDLED else str(weights.path)
        self._fixed[weights.name] = Known(weights, source)

    def _look(self) -> dict[str, Known]:
        listed = list_models(self._folder)
        return {name: Known(one, MODELS + name) for name, one in listed.items()} | self._fixed

    def _named(self, text: str, own: Mapping[str, ModelFacts]) -> ModelFacts | None:
        names = {*self._known, *self._remote, *own}
        if text in names:
            chosen = text
        else:
            last = text.rpartition("/")[2]
            found = sorted(one for one in names if one.rpartition("/")[2] == last)
            # `other-org/foal` is another model, not a short name of `paddock/foal`.
            short = "/" not in text or (text.startswith("accounts/") and "/models/" in text)
            if not (last and short and found):
                return None
            if len(found) > 1:
                raise InvalidRequest(
                    f"model {text!r} is ambiguous; use one of {', '.join(found)}",
                    param="model",
                    code="model_ambiguous",
                )
            chosen = found[0]
        if chosen in own:
            return own[chosen]
        if chosen in self._known:
            return self._describe(self._known[chosen])
        return self._on_hub(self._remote[chosen], chosen)

    def _tuned(self, source: str, tuned: Sequence[ModelFacts]) -> ModelFacts:
        found = next((one for one in tuned if one.source == source), None)
        if found is None:
            raise ModelNotFound(f"the fine-tuned model {source[:140]!r} was deleted", param="model")
        return found

    def _at(self, text: str, allowed: Sequence[Path] | None) -> ModelFacts:
        """The model at a path. Whether a path that may not be named exists is not told."""
        try:
            path = Path(text).expanduser()
            if not path.is_absolute():
                raise InvalidRequest(f"model {text!r} must be an absolute path, or a name", param="model")
            if not self._may_name(path, allowed):
                raise _forbidden(text, allowed)
            if not path.exists():
                raise self._unknown(text)
            weights = resolve(str(path))
            if not self._may_name(weights.path, allowed):
                raise _forbidden(text, allowed)
        except (OSError, RuntimeError, ValueError) as error:
            raise self._unknown(text, str(error)) from error
        except StartupError as error:
            raise InvalidRequest(error.message, param="model") from error
        return self._describe(Known(weights, str(weights.path)))

    def _may_name(self, path: Path, allowed: Sequence[Path] | None) -> bool:
        if allowed is None or any(path == one.weights.path for one in self._fixed.values()):
            return True
        real = path.resolve()
        return any(real.is_relative_to(folder.expanduser().resolve()) for folder in allowed)

    def _on_hub(self, id: str, name: str) -> ModelFacts:
        when, answer = self._asked.get(id, (0.0, None))
        limit = REFUSAL_SECONDS if isinstance(answer, StartupError) else HUB_SECONDS
        if answer is None or self._clock() - when > limit:
            answer = _ask_hub(id)
            self._asked[id] = (self._clock(), answer)
        if isinstance(answer, StartupError):
            raise self._unknown(name, answer.message) from answer
        return answer

    def _remembered(self, id: str) -> ModelFacts:
        """What is known of a model of the hub without asking it."""
        _, answer = self._asked.get(id, (0.0, None))
        return answer if isinstance(answer, ModelFacts) else _from_cache(id) or _unseen(id)

    def _describe(self, known: Known) -> ModelFacts:
        path = known.weights.path
        signature = _signature(known.weights)
        before = self._described.get(path)
        if before and before[0] == signature:
            found = before[1]
        else:
            try:
                found = describe(known.weights)
            except StartupError as error:
                found = error
            self._described[path] = (signature, found)
        if isinstance(found, StartupError):
            raise StartupError(found.message)
        if found.source == known.source:
            return found
        return dataclasses.replace(found, name=known.weights.name, source=known.source)

    def _is_there(self, known: Known) -> bool:
        before = self._described.get(known.weights.path)
        return before is not None and before[0] == _signature(known.weights)

    def _unknown(self, name: str, why: str = "", own: Iterable[str] = ()) -> ModelNotFound:
        names = sorted({*self._known, *self._remote, *own})
        listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
        reason = f" ({why})" if why else ""
        return ModelNotFound(
            f"there is no model {name!r}{reason}; known here: {listed}. Also taken are a hub id such as"
            " Qwen/Qwen3-0.6B and an absolute path",
            param="model",
        )


def _forbidden(text: str, allowed: Iterable[Path] | None) -> InvalidRequest:
    folders = ", ".join(map(str, allowed or ()))
    below = f" below {folders}" if folders else ""
    return InvalidRequest(
        f"model {text!r} is a path, and none{below and ' but those' + below} may be named here;"
        " the operator allows a folder with --allow-path",
        param="model",
        code="path_not_allowed",
    )


def _signature(weights: Weights) -> Signature:
    """Changes when a file does; empty when there is nothing."""
    try:
        if weights.kind == "gguf":
            files: Iterable[os.PathLike[str]] = shard_files(weights.path)
        else:
            files = [entry for entry in os.scandir(weights.path) if entry.is_file()]
        stats = sorted((os.fspath(file), os.stat(file)) for file in files)
    except (OSError, StartupError):
        return ()
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in stats)


def _ask_hub(id: str) -> ModelFacts | StartupError:
    try:
        if found := _from_cache(id):
            return found
        match = HUB_ID.fullmatch(id)
        assert match
        # The hub's library takes a second to import, which who serves a local model must not pay.
        from paddock.weights.hub import look_up

        offer = look_up(match["repo"], match["revision"], match["variant"])
    except StartupError as error:
        return error
    return dataclasses.replace(_unseen(id), name=offer.name, size=offer.size, kind=offer.kind)


def _from_cache(id: str) -> ModelFacts | None:
    match = HUB_ID.fullmatch(id)
    assert match
    from paddock.weights.hub import find_cached

    found = find_cached(match["repo"], match["revision"], match["variant"])
    if found is None:
        return None
    name, path = found
    try:
        facts = describe(Weights(name, "gguf" if path.is_file() else "checkpoint", path))
    except StartupError:
        return None  # it is fetched again
    return dataclasses.replace(facts, source=HUB + id)


def _unseen(id: str) -> ModelFacts:
    match = HUB_ID.fullmatch(id)
    assert match
    org, _, last = match["repo"].partition("/")
    name = match["repo"] + (f":{match['variant']}" if match["variant"] else "")
    return ModelFacts(
        name=name,
        source=HUB + id,
        kind="checkpoint",
        context_length=0,
        size=0,
        parameters=0,
        cache_bytes=0,
        generates=True,
        embeds=False,
        creator=org,
        description="",
        screen_name=last,
    )
