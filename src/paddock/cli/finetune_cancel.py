"""`paddock finetune cancel`: end fine-tunes before they are done."""

from __future__ import annotations

import click

from paddock.cli.batch_ls import done
from paddock.cli.each import for_each, until
from paddock.cli.finetune_api import FineTunesApi
from paddock.cli.options import server_options
from paddock.cli.output import printable


@click.command()
@click.argument("identities", metavar="ID...", nargs=-1, required=True)
@server_options
def cancel(identities: tuple[str, ...], base_url: str | None, api_key: str | None) -> None:
    """Cancel fine-tunes.

    Waits until each has ended. No model comes of one that is cancelled.

    \b
    Examples:
      paddock finetune cancel ft_0123456789abcdef01234567
    """
    api = FineTunesApi(base_url, api_key)

    def end(identity: str) -> None:
        job = api.cancel(identity)

        def has_ended() -> bool:
            nonlocal job
            if job["finished_at"] is None:
                job = api.get(job["id"])
            return job["finished_at"] is not None

        until(has_ended)
        steps = done(job)
        click.echo(printable(f"{job['id']} is {job['state']}" + (f" after {steps} steps" if steps else "")))

    for_each(identities, end)
