"""The answers that a batch has so far: each in the store as soon as it came, then in segments, in order.

A segment begins where the one before it ends. Answers behind the last segment lie in the store by their
numbers, whichever came first. So what is answered is known after any crash, and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from paddock.services import work
from paddock.services.work import Held
from paddock.store.sessions import ChangeSession, WriteSession
from paddock.store.tables import JobAnswerRow, JobRow, JobSegmentRow

PAGE = 500
FAILED = b"-"
# Made once, and in the same words for any number of answers: drivers keep each statement that they have met.
_KNOWN = select(JobAnswerRow.number).where(
    JobAnswerRow.job_id == bindparam("job"),
    JobAnswerRow.number.between(bindparam("first"), bindparam("last")),
)
_KEEP = insert(JobAnswerRow)


class Entry(NamedTuple):
    """The answer to the row `number`: a line of the output, without its end."""

    number: int
    failed: bool
    body: bytes


@dataclass(frozen=True)
class Segment:
    """
    Attributes:
        first, end: the rows in it: from `first` until before `end`.
        offset: of the row `end` in the input, in bytes.
    """

    first: int
    end: int
    offset: int
    blob: str


@dataclass(frozen=True)
class Kept:
    """What is answered.

    Attributes:
        answered: numbers of rows behind the last segment that have an answer.
    """

    segments: Sequence[Segment] = ()
    answered: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The first row that is in no segment."""
        return self.segments[-1].end if self.segments else 0

    @property
    def offset(self) -> int:
        return self.segments[-1].offset if self.segments else 0


def load(session: Session, job_id: str) -> Kept:
    numbers = select(JobAnswerRow.number).where(JobAnswerRow.job_id == job_id)
    return Kept(segments(session, job_id), set(session.scalars(numbers)))


def segments(session: Session, job_id: str) -> list[Segment]:
    query = select(JobSegmentRow).where(JobSegmentRow.job_id == job_id).order_by(JobSegmentRow.first)
    return [Segment(row.first, row.end, row.offset, row.blob) for row in session.scalars(query)]


def keep(session: WriteSession, held: Held, answers: Sequence[Entry]) -> None:
    """Keeps answers that came, and counts them. Those that are there already are not written again: the
    database may have committed them though its answer was lost.

    Raises:
        Fenced: another worker has the job now.
    """
    first, last = min(one.number for one in answers), max(one.number for one in answers)
    connection = session.connection()
    known = set(connection.scalars(_KNOWN, {"job": held.id, "first": first, "last": last}))
    answers = [answer for answer in answers if answer.number not in known]
    if answers:
        work.count(session, held, len(answers), sum(answer.failed for answer in answers))
        connection.execute(_KEEP, [{"job_id": held.id, **answer._asdict()} for answer in answers])


def page(session: Session, job_id: str, first: int, end: int) -> list[Entry]:
    """Kept answers from `first` until before `end`, as many as fit into one page."""
    query = (
        select(JobAnswerRow.number, JobAnswerRow.failed, JobAnswerRow.body)
        .where(JobAnswerRow.job_id == job_id, JobAnswerRow.number >= first, JobAnswerRow.number < end)
        .order_by(JobAnswerRow.number)
        .limit(PAGE)
    )
    return [Entry(*row) for row in session.execute(query)]


def seal(session: WriteSession, held: Held, segment: Segment) -> None:
    """The answers of a segment lie in its blob from now on. May be said again.

    Raises:
        Fenced: another worker has the job now.
    """
    work.row_of(session, held)
    if session.get(JobSegmentRow, (held.id, segment.first)) is not None:
        return
    session.add(
        JobSegmentRow(
            job_id=held.id, first=segment.first, end=segment.end, offset=segment.offset, blob=segment.blob
        )
    )
    session.execute(
        delete(JobAnswerRow).where(JobAnswerRow.job_id == held.id, JobAnswerRow.number < segment.end)
    )


def forget(session: ChangeSession, row: JobRow) -> None:
    """The job is over, and its output written."""
    session.execute(delete(JobAnswerRow).where(JobAnswerRow.job_id == row.id))
    session.execute(delete(JobSegmentRow).where(JobSegmentRow.job_id == row.id))


def line(failed: bool, body: bytes) -> bytes:
    """An answer in a segment's blob: its first byte says whether it is an error."""
    return (FAILED if failed else b"+") + body + b"\n"
