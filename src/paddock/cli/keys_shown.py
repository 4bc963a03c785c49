"""Keys and limits as a person reads them."""

from __future__ import annotations

from typing import Any

import click

from paddock.cli.output import dump_json, printable, remark
from paddock.cli.tables import age, moment

JSON = dict[str, Any]


def limits(given: JSON) -> str:
    """`600 requests/min, 4 at once, 50 a month`; empty if there is none."""
    parts = [
        f"{given[name]:,} {unit}"
        for name, unit in (
            ("requests_per_minute", "requests/min"),
            ("tokens_per_minute", "tokens/min"),
            ("concurrent_requests", "at once"),
        )
        if given[name] is not None
    ]
    if given["budget"] is not None:
        period = given["budget_period"]
        parts.append(f"{given['budget']:,.10g} {'in total' if period == 'total' else f'a {period}'}")
    return ", ".join(parts)


def facts(key: JSON) -> list[str]:
    """All that is known of a key, in lines."""
    revoked, expires = key["revoked_at"], key["expires_at"]
    found = {
        "name": str(key["name"]),
        "project": str(key["project"]),
        "scopes": ", ".join(key["scopes"]),
        "models": ", ".join(key["models"]) or "all",
        "limits": limits(key["limits"]) or "none",
        "secret": f"…{key['hint']}",
        "created": f"{moment(key['created_at'])} ({age(key['created_at'])} ago)",
        "expires": moment(expires) if expires is not None else "never",
        "revoked": moment(revoked) if revoked is not None else "",
    }
    shown = {name: " ".join(printable(text).split()) for name, text in found.items() if text}
    return [printable(str(key["id"])), *(f"  {name.ljust(7)}  {text}" for name, text in shown.items())]


def hand_over(key: JSON, remarks: str, as_json: bool) -> None:
    """Writes a secret to standard output, alone on its line or in the key's JSON, and remarks beside it."""
    if as_json:
        click.echo(dump_json(key, indent=2))
        return
    remark(f"{remarks} Keep it safe: it is not shown again.")
    click.echo(printable(str(key["secret"])))
