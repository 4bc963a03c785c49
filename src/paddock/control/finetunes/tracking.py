"""Whether and where a fine-tune is reported, as its process is told. What prevents it ends nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from paddock.errors import InvalidRequest, StorageFailed
from paddock.schemas.training import Noted, WandbRun
from paddock.services import job_secrets
from paddock.services.finetunes.spec import FineTuneSpec
from paddock.services.finetunes.tracking import check_server
from paddock.services.platform import Platform


@dataclass(frozen=True)
class Tracked:
    run: WandbRun
    key: str = field(repr=False)


async def find(platform: Platform, job_id: str, spec: FineTuneSpec) -> Tracked | Noted | None:
    """None: nobody asked for it. `Noted`: why it is not done.

    Raises:
        StoreFailed: the store cannot be read now.
    """
    if spec.wandb is None:
        return None
    try:
        if (url := spec.wandb.get("base_url")) is not None:
            check_server(platform.settings, url, "base_url")
        key = await job_secrets.find(platform, job_id)
    except (InvalidRequest, StorageFailed) as error:
        return _not_done(error.message)
    except ImportError:
        return _not_done("its key cannot be read on this machine: pip install 'paddock[wandb]'")
    if key is None:
        return _not_done("another machine encrypted its key; set the same PADDOCK_SECRET_KEY on all of them")
    run = WandbRun(
        **{"name": job_id, **spec.wandb},
        id=job_id,
        config={"model": spec.model, "fine_tuned_model": spec.name, **spec.recipe},
    )
    return Tracked(run, key)


def _not_done(why: str) -> Noted:
    return Noted(message=f"nothing goes to Weights & Biases: {why}", trouble=True)
