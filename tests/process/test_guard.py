"""The guard where the kernel cannot end a process with its parent: it stays and watches a pipe."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.process.processes import assert_gone

SUPERVISE = "import sys; from paddock.runners.guard import supervise; sys.exit(supervise(sys.argv[1:]))"
SHELL = "sleep 60 & echo $!; wait"


def guarded(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class TestSupervise:
    def test_the_end_of_the_pipe_ends_the_whole_group(self) -> None:
        with guarded("sh", "-c", SHELL) as guard:
            assert guard.stdout
            assert guard.stdin
            grandchild = int(guard.stdout.readline())
            guard.stdin.close()
            assert guard.wait(5) < 0
            assert_gone(grandchild, within=2)

    @pytest.mark.parametrize("status", [0, 3])
    def test_the_exit_status_is_passed_on(self, status: int) -> None:
        with guarded("sh", "-c", f"exit {status}") as guard:
            assert guard.wait(5) == status

    def test_sigterm_is_passed_on(self) -> None:
        with guarded("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done") as guard:
            assert guard.stdout
            guard.stdout.readline()
            guard.terminate()
            assert guard.wait(5) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does it only on Linux")
class TestBecome:
    def test_a_parent_that_is_gone_already(self) -> None:
        done = run_guard("1", "--", "true")
        assert (done.returncode, "the parent was gone" in done.stderr) == (1, True)

    def test_the_command_takes_the_guards_place(self) -> None:
        assert run_guard(str(os.getpid()), "--", "sh", "-c", "exit 5").returncode == 5

    def test_how_it_is_used(self) -> None:
        assert "usage: " in run_guard("1", "true").stderr


def run_guard(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paddock.runners.guard", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
