"""`paddock batch cancel`: end batches before they are done."""

from __future__ import annotations

import click

from paddock.cli.batch_ls import done
from paddock.cli.each import for_each, until
from paddock.cli.jobs_api import JobsApi
from paddock.cli.options import server_options
from paddock.cli.output import printable


@click.command()
@click.argument("identities", metavar="ID...", nargs=-1, required=True)
@server_options
def cancel(identities: tuple[str, ...], base_url: str | None, api_key: str | None) -> None:
    """Cancel batches.

    Waits until each has ended; the answers that it has by then are kept.

    \b
    Examples:
      paddock batch cancel batch_0123456789abcdef01234567
    """
    api = JobsApi(base_url, api_key)

    def end(identity: str) -> None:
        job = api.cancel(identity)

        def ended() -> bool:
            nonlocal job
            if job["finished_at"] is None:
                job = api.get(job["id"])
            return job["finished_at"] is not None

        until(ended)
        answered = done(job)
        click.echo(
            printable(f"{job['id']} is {job['state']}" + (f": {answered} are answered" if answered else ""))
        )

    for_each(identities, end)
