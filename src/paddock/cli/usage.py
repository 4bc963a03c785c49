"""`paddock usage`: requests, tokens and what they cost."""

from __future__ import annotations

from typing import Any

import click

from paddock.cli.connection import connect, object_with
from paddock.cli.options import given, server_options
from paddock.cli.output import dump_json, printable
from paddock.cli.tables import duration, money, table
from paddock.clients.transport import Call, Transport

JSON = dict[str, Any]
_NOBODY = "-"
"""Where a group has no value: requests without a key, models without an adapter."""


@click.command()
@click.option(
    "-g",
    "--group-by",
    default="key,model",
    show_default=True,
    metavar="FIELDS",
    help="Fields with commas between: project, key, model, adapter, deployment, outcome, day, hour.",
)
@click.option("--start", metavar="TIME", help="From when; by default the month's begin.")
@click.option("--end", metavar="TIME", help="Until before when; by default until now.")
@click.option("--project", metavar="NAME", help="Only what is of this project.")
@click.option("--key", metavar="ID", help="Only what came with this key.")
@click.option("--model", metavar="NAME", help="Only what this model answered.")
@click.option("--csv", "as_csv", is_flag=True, help="Write a line of CSV for each group.")
@click.option("--json", "as_json", is_flag=True, help="Write groups and total as a JSON object.")
@server_options
def usage(
    group_by: str,
    start: str | None,
    end: str | None,
    project: str | None,
    key: str | None,
    model: str | None,
    as_csv: bool,
    as_json: bool,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Show requests, tokens and what they cost.

    A TIME is a date or a time of UTC, 2026-11-28 or 2026-11-28T14:30:00Z, or seconds since 1970.

    \b
    Examples:
      paddock usage
      paddock usage --group-by key,model,day --start 2026-11-01 --end 2026-12-01 --csv > november.csv
      paddock usage --json | jq .total.cost
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.", click.get_current_context())
    query = given(group_by=group_by, start=start, end=end, project=project, key=key, model=model)
    transport = connect(base_url, api_key, "/api/v1").transport
    if as_csv:
        click.echo(printable(_csv(transport, query)), nl=False)
        return
    found = transport.request(Call("GET", "usage", object_with("total"), params=query, repeatable=True))
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    for text in lines(found, [field for field in group_by.split(",") if field]):
        click.echo(text)


def lines(found: JSON, fields: list[str]) -> list[str]:
    """The table, with the total below the groups."""
    rows = list(found["data"])
    names = {field.upper(): [str(one[field] or _NOBODY) for one in rows] for field in fields}
    if fields:
        for position, column in enumerate(names.values()):
            column.append("" if position else "total")
        rows.append(found["total"])
    return table(
        {
            **names,
            "REQUESTS": [f"{one['requests']:,}" for one in rows],
            "PROMPT TOKENS": [f"{one['prompt_tokens']:,}" for one in rows],
            "CACHED": [f"{one['cached_tokens']:,}" for one in rows],
            "COMPLETION TOKENS": [f"{one['completion_tokens']:,}" for one in rows],
            "INSTANCES": [
                duration(one["instance_seconds"]) if one["instance_seconds"] else "" for one in rows
            ],
            "COST": [f"{money(one['cost']['amount'])} {one['cost']['currency']}" for one in rows],
        }
    )


def _csv(transport: Transport, query: dict[str, str]) -> str:
    call: Call[bytes] = Call("GET", "usage", _bytes, params={**query, "format": "csv"}, repeatable=True)
    pieces: list[bytes] = list(transport.download(call))
    return b"".join(pieces).decode("utf-8", "replace")


def _bytes(piece: Any) -> bytes:
    return bytes(piece)
