from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from paddock.errors import JobFailed
from paddock.training.failures import failed


class OutOfMemoryError(RuntimeError):
    """Named as torch's is, which cannot be had without a GPU."""


class TestFailed:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (JobFailed("row 3 is bad", code="bad_rows"), "bad_rows"),
            (MemoryError(), "out_of_memory"),
            (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
            (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
            (RuntimeError("I/O error: No space left on device (os error 28)"), "disk_full"),
            (PermissionError(errno.EACCES, "Permission denied"), "internal"),
            (ZeroDivisionError("by zero"), "internal"),
        ],
    )
    def test_has_the_code(self, error: Exception, code: str) -> None:
        assert failed(error).code == code

    def test_says_what_to_do_about_memory(self) -> None:
        message = failed(MemoryError()).message
        assert all(word in message for word in ("batch_size", "max_length", "accumulation"))

    def test_names_an_unexpected_exception(self) -> None:
        assert failed(ZeroDivisionError("by zero")).message == "ZeroDivisionError: by zero"

    def test_sees_the_disk_behind_another_error(self) -> None:
        error = RuntimeError("writer failed")
        error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
        assert failed(error).code == "disk_full"

    def test_knows_a_checkpoint_written_to_a_full_disk(self) -> None:
        if not Path("/dev/full").is_char_device():
            pytest.skip("no device that is always full")
        # Opened here: a library that is given the path may put a file in the device's place.
        with pytest.raises((OSError, RuntimeError)) as caught, Path("/dev/full").open("wb") as file:
            torch.save({"weights": torch.zeros(100_000)}, file)
        assert failed(caught.value).code == "disk_full"
