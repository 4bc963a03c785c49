"""Which rows are kept for validation: one of each ten, by the seed and where they stand.

Of rows 10k to 10k+9 that is one whose place a hash of (seed, k) says, so that it is known while they pass, is
spread over the file, and is the same on every machine. What is left behind the last ten is all learned; fewer
than ten rows have no validation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

OF = 10
"""One of so many."""


def split(rows: int, seed: int) -> list[int]:
    """The numbers, from 0 and in order, of the rows that are for validation: `rows // 10`."""
    return [OF * ten + _place(ten, seed) for ten in range(rows // OF)]


class Divided:
    """Writes rows to two places, as `split` says. No more than ten are held back.

    Args:
        training, validation: take whole lines.

    Attributes:
        training_rows, validation_rows: how many were written.
    """

    def __init__(
        self,
        seed: int,
        training: Callable[[bytes], Awaitable[None]],
        validation: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.training_rows = 0
        self.validation_rows = 0
        self._seed = seed
        self._training = training
        self._validation = validation
        self._held: list[bytes] = []

    async def write(self, lines: bytes) -> None:
        """
        Args:
            lines: whole ones, each with its line feed.

        Raises:
            What the two places do.
        """
        self._held += lines.splitlines(keepends=True)
        whole = len(self._held) // OF
        kept = [OF * ten + _place(self.validation_rows + ten, self._seed) for ten in range(whole)]
        if not whole:
            return
        held_out = set(kept)
        learned = [line for i, line in enumerate(self._held[: whole * OF]) if i not in held_out]
        passed = [self._held[i] for i in kept]
        del self._held[: whole * OF]
        await self._training(b"".join(learned))
        await self._validation(b"".join(passed))
        self.training_rows += len(learned)
        self.validation_rows += len(passed)

    async def finish(self) -> None:
        """The rows are over."""
        rest, self._held = self._held, []
        if rest:
            await self._training(b"".join(rest))
            self.training_rows += len(rest)


def _place(ten: int, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{ten}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % OF
