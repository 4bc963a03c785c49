"""`paddock webhooks`: who is told what happens."""

from __future__ import annotations

import time
from typing import Any

import click

from paddock.cli.each import for_each
from paddock.cli.options import given, server_options
from paddock.cli.output import dump_json, printable, remark
from paddock.cli.tables import age, table
from paddock.cli.webhooks_api import WebhooksApi
from paddock.errors import PaddockError

JSON = dict[str, Any]


@click.group()
def webhooks() -> None:
    """Be told when batches, fine-tunes and deployments come to something.

    \b
    Examples:
      paddock webhooks create https://example.com/hooks --event 'batch.*'
      paddock webhooks test wh_0123456789abcdef01234567
    """


@webhooks.command()
@click.argument("url")
@click.option(
    "--event",
    "events",
    metavar="TYPE",
    multiple=True,
    help="What to be told: `batch.completed`, `batch.*`, … Repeatable.  [default: *]",
)
@click.option("--name", help="What to call it, for people.")
@click.option("--json", "as_json", is_flag=True, help="Write the webhook, with its secret, as a JSON object.")
@server_options
def create(
    url: str,
    events: tuple[str, ...],
    name: str | None,
    as_json: bool,
    base_url: str | None,
    api_key: str | None,
) -> None:
    """Post events to URL, and show the secret that its owner checks them with: this once.

    \b
    Examples:
      paddock webhooks create https://example.com/hooks
      paddock webhooks create https://example.com/hooks --event 'batch.*' --event deployment.failed
    """
    asked = {"url": url, "events": list(events) or ["*"], **given(name=name)}
    made = WebhooksApi(base_url, api_key).create(asked)
    if as_json:
        click.echo(dump_json(made, indent=2))
        return
    click.echo(printable(f"{made['id']}  {made['secret']}"))
    remark("keep the secret: it is not shown again")


@webhooks.command()
@click.option("--json", "as_json", is_flag=True, help="Write the webhooks as one JSON array.")
@server_options
def ls(as_json: bool, base_url: str | None, api_key: str | None) -> None:
    """List the webhooks, the oldest first.

    \b
    Examples:
      paddock webhooks ls
      paddock webhooks ls --json | jq -r '.[] | select(.failing_since) | .url'
    """
    found = WebhooksApi(base_url, api_key).all()
    if as_json:
        click.echo(dump_json(found, indent=2))
        return
    if not found:
        click.echo("there is no webhook; make one with `paddock webhooks create`", err=True)
        return
    now = time.time()
    columns = {
        "ID": [str(hook["id"]) for hook in found],
        "NAME": [str(hook["name"]) for hook in found],
        "URL": [str(hook["url"]) for hook in found],
        "EVENTS": [", ".join(hook["events"]) for hook in found],
        "STATE": [_state(hook, now) for hook in found],
        "LAST": [age(hook["last_at"], now) if hook["last_at"] else "" for hook in found],
        "ERROR": [str(hook["last_error"]) for hook in found],
    }
    for line in table(columns):
        click.echo(line)


@webhooks.command()
@click.argument("identity", metavar="ID")
@server_options
def show(identity: str, base_url: str | None, api_key: str | None) -> None:
    """Show a webhook and its latest deliveries, as a JSON object.

    \b
    Examples:
      paddock webhooks show wh_0123456789abcdef01234567 | jq '.deliveries[0]'
    """
    click.echo(dump_json(WebhooksApi(base_url, api_key).get(identity), indent=2))


@webhooks.command()
@click.argument("identity", metavar="ID")
@server_options
def test(identity: str, base_url: str | None, api_key: str | None) -> None:
    """Send a `webhook.test` event now, and say what came of it.

    The exit code is 0 if the receiver took it, 1 if not.

    \b
    Examples:
      paddock webhooks test wh_0123456789abcdef01234567
    """
    found = WebhooksApi(base_url, api_key).test(identity)
    if not found["delivered"]:
        raise PaddockError(f"it was not delivered: {found['error']}")
    click.echo(f"delivered: it answered {found['status']} after {found['seconds']:.3f} s")


@webhooks.command()
@click.argument("identities", metavar="ID...", nargs=-1, required=True)
@server_options
def rm(identities: tuple[str, ...], base_url: str | None, api_key: str | None) -> None:
    """Delete webhooks, with what waits for them.

    \b
    Examples:
      paddock webhooks rm wh_0123456789abcdef01234567
    """
    api = WebhooksApi(base_url, api_key)

    def delete(identity: str) -> None:
        api.delete(identity)
        click.echo(f"{printable(identity)} is deleted")

    for_each(identities, delete)


@webhooks.command("callback-secret")
@click.option("--new", is_flag=True, help="Make another one: what is sent from now on is signed with it.")
@server_options
def callback_secret(new: bool, base_url: str | None, api_key: str | None) -> None:
    """Show what the callbacks of model endpoints are signed with.

    \b
    Examples:
      paddock webhooks callback-secret
    """
    click.echo(printable(WebhooksApi(base_url, api_key).callback_secret(new=new)))


def _state(hook: JSON, now: float) -> str:
    """`enabled`, `failing for 3 h`, `disabled: it answered 410 Gone`."""
    if not hook["enabled"]:
        return f"disabled: {hook['reason']}" if hook["reason"] else "disabled"
    return f"failing for {age(hook['failing_since'], now)}" if hook["failing_since"] else "enabled"
