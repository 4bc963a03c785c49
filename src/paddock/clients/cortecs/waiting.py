"""How long to wait for an instance, and whether it runs yet, as pure functions of what was seen."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.clients.cortecs.error import BadRequest, CortecsError, InstanceStopped, StillPending, may_pass
from paddock.schemas.cortecs import InitProgress, Instance

FIRST_PAUSE = 0.2
# A server that is started anew is back within this; the instance outlives that.
UNSEEN_FOR = 30.0


@dataclass(frozen=True)
class Patience:
    """How long an instance is waited for: `max_retries` looks, and as many times `poll_interval` seconds.

    That is as in the published client, only that the looks come more often at first.

    Raises:
        BadRequest: a value is negative or no number.
    """

    poll_interval: float
    max_retries: int

    def __post_init__(self) -> None:
        for name in ("poll_interval", "max_retries"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise BadRequest(f"{name} must be a number from 0, not {value!r}")

    def pause(self, looks: int, waited: float) -> float | None:
        """Seconds until the next look, after `looks` of them in `waited` seconds; None to give up."""
        left = self.poll_interval * self.max_retries - waited
        if left <= 0 and looks > self.max_retries:
            return None
        # A tenth of the time waited: nobody notices that, and the server is asked ever less often.
        pause = min(self.poll_interval, max(FIRST_PAUSE, waited / 10))
        return min(pause, left) if left > 0 else pause

    def tolerates(self, error: CortecsError, unseen: float) -> bool:
        """Whether to go on waiting although the last look ended in `error`; `unseen` seconds without one."""
        return may_pass(error) and unseen < UNSEEN_FOR


def progress_of(instance: Instance) -> InitProgress | None:
    """How far the instance is; of several workers, as far as the server says for all, else the first."""
    if instance.instance_status.init_progress is not None:
        return instance.instance_status.init_progress
    return instance.worker_statuses[0].init_progress if instance.worker_statuses else None


def runs(instance: Instance) -> bool:
    """Whether it takes requests.

    Raises:
        InstanceStopped: it does not and will not.
    """
    status = instance.instance_status
    if status.status == "stopped":
        reason = status.reason or "it was stopped"
        raise InstanceStopped(f"{_name(instance)} does not run: {reason}", instance=instance)
    return status.status == "running"


def still_pending(instance: Instance, waited: float) -> StillPending:
    progress = progress_of(instance)
    at = (
        f" at step {progress['current_step']} of {progress['num_steps']}: {progress['description']}"
        if progress
        else ""
    )
    return StillPending(
        f"{_name(instance)} did not run within {waited:.0f} s{at}; "
        "wait for it again with poll_instance, or stop it",
        instance=instance,
    )


def _name(instance: Instance) -> str:
    return f"instance {instance.instance_id} of {instance.instance_args.hf_name}"
