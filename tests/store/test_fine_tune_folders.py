from __future__ import annotations

from paddock.control.finetunes import folders
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform
from paddock.store.sessions import ChangeSession
from paddock.store.tables import JobRow


async def test_only_jobs_that_are_not_over_keep_their_folders(platform: Platform) -> None:
    def begin(session: ChangeSession) -> None:
        for name, finished in (("ft_over", 1.0), ("ft_working", None)):
            row = JobRow(
                id=name,
                project=LOCAL,
                kind="ft",
                dialect="openai",
                state="running",
                model="",
                spec={},
                deadline_at=0.0,
                created_at=0.0,
                finished_at=finished,
            )
            session.add(row)

    await platform.change(begin)
    kept = await folders.make(platform, "ft_working", 1)
    gone = [await folders.make(platform, name, 1) for name in ("ft_over", "ft_unknown")]
    await folders.sweep(platform)
    assert kept.exists()
    assert not any(one.parent.exists() for one in gone)


async def test_a_worker_clears_away_what_those_before_it_left(platform: Platform) -> None:
    first = await folders.make(platform, "ft_1", 1)
    (first / "weights").touch()
    later = await folders.make(platform, "ft_1", 3)
    second = await folders.make(platform, "ft_1", 2)
    assert [one.exists() for one in (first, second, later)] == [False, True, True]
