"""Whole models that fine-tunes made. Each is deployed, and tuned further, by its name like any other model.

The bytes lie whole in the blobs before a row tells of them; `tuned_files` brings them to who needs them.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.errors import NotFound
from paddock.services.blob_files import StoredFile
from paddock.services.platform import Platform
from paddock.store.sessions import ChangeSession
from paddock.store.tables import TunedModelRow
from paddock.weights.facts import ModelFacts
from paddock.weights.resolve import TUNED

JSON = dict[str, Any]


@dataclass(frozen=True)
class TunedModel:
    """
    Attributes:
        parent: the model that it was made from, by its name.
        files: its checkpoint.
    """

    id: str
    name: str
    parent: str
    job_id: str
    files: Sequence[StoredFile]
    facts: ModelFacts
    details: JSON = field(default_factory=dict)
    created_at: float = 0.0

    @property
    def source(self) -> str:
        """As `DeploymentRow` has it."""
        return source(self.id)


def new_id() -> str:
    return f"mdl-{secrets.token_hex(8)}"


def source(model_id: str) -> str:
    """What `weights.resolve` finds the model by on a machine that it was brought to."""
    return f"{TUNED}{model_id}"


def everything(platform: Platform) -> str:
    """Below which the models of this store have their blobs."""
    return f"tuned-models/{platform.mark}"


def folder(platform: Platform, job_id: str) -> str:
    """Below which the blobs lie of what a fine-tune makes."""
    return f"{everything(platform)}/{job_id}"


def add(session: ChangeSession, project: str, made: TunedModel, now: float) -> bool:
    """From here on it is known. False if it was before."""
    if session.get(TunedModelRow, made.id) is not None:
        return False
    session.add(
        TunedModelRow(
            id=made.id,
            project=project,
            name=made.name,
            parent=made.parent,
            job_id=made.job_id,
            files=[dataclasses.asdict(file) for file in made.files],
            facts=dataclasses.asdict(made.facts),
            details=made.details,
            created_at=now,
        )
    )
    session.flush()
    return True


async def get(platform: Platform, project: str, name: str) -> TunedModel:
    """By name or id.

    Raises:
        NotFound: there is none, or it is another project's.
    """
    return await platform.store.read(lambda session: of(find(session, project, name)))


def find(session: Session, project: str, name: str) -> TunedModelRow:
    """
    Raises:
        NotFound: there is none of this name or id in the project.
    """
    row = named(session, project, name) or session.get(TunedModelRow, name)
    if row is None or row.project != project or row.deleted_at is not None:
        raise NotFound(f"there is no fine-tuned model {name[:140]!r}", code="model_not_found")
    return row


def named(session: Session, project: str, name: str) -> TunedModelRow | None:
    """The one of this name, if there is one."""
    found: TunedModelRow | None = session.scalars(
        _living(project).where(TunedModelRow.name == name)
    ).one_or_none()
    return found


def known(session: Session, project: str) -> list[ModelFacts]:
    """The facts of those that the project has, for the `Catalogue`, which knows no projects."""
    return [ModelFacts(**facts) for facts in session.scalars(_living(project, TunedModelRow.facts))]


def of(row: TunedModelRow) -> TunedModel:
    return TunedModel(
        id=row.id,
        name=row.name,
        parent=row.parent,
        job_id=row.job_id,
        files=[StoredFile(**file) for file in row.files],
        facts=ModelFacts(**row.facts),
        details=row.details,
        created_at=row.created_at,
    )


def _living(project: str, what: Any = TunedModelRow) -> Any:
    query = select(what).where(TunedModelRow.project == project, TunedModelRow.deleted_at.is_(None))
    return query.order_by(TunedModelRow.created_at, TunedModelRow.id)
