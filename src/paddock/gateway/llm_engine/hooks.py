"""What happens after an inference, as an endpoint's owner asks for it; pure."""

from __future__ import annotations

from typing import Any

from paddock.errors import InvalidRequest, UnsupportedParameter

JSON = dict[str, Any]
CALLBACK = "callback"
_ALWAYS = ("billing", "logging")
"""The ledger and the access log do that for every request."""
HOOKS = (CALLBACK, *_ALWAYS)
MASK = "********"
"""What is shown for a password, which is never told again."""


def check_hooks(given: JSON) -> None:
    """
    Raises:
        InvalidRequest: there is no such hook, or a password is only what is shown for one.
        UnsupportedParameter: a callback could not be authenticated as it was asked for.
    """
    for hook in given.get("post_inference_hooks", ()):
        if hook.lower() not in HOOKS:
            raise InvalidRequest(
                f"post_inference_hooks must be some of {', '.join(HOOKS)}, not {hook[:40]!r}",
                param="post_inference_hooks",
            )
    auth = given.get("default_callback_auth")
    if auth is None:
        return
    if auth["kind"] != "basic":
        raise UnsupportedParameter(
            'default_callback_auth must be {"kind": "basic", "username": ..., "password": ...}: callbacks'
            f" have no certificates of their own ({auth['kind']})",
            param="default_callback_auth",
        )
    if ":" in auth["username"]:
        raise InvalidRequest(
            "default_callback_auth.username must have no colon, which HTTP Basic ends it by",
            param="default_callback_auth.username",
        )
    if auth["password"] == MASK:
        raise InvalidRequest(
            f"default_callback_auth.password must be the password: {MASK} only stands for one that is there",
            param="default_callback_auth.password",
        )


def masked(auth: JSON | None) -> JSON | None:
    """`default_callback_auth` as it is shown."""
    return auth if auth is None or "password" not in auth else {**auth, "password": MASK}


def unmasked(given: JSON, before: JSON) -> JSON:
    """A change in which what was shown for a password means the one that is there.

    Args:
        before: all that was asked of the endpoint until now.

    Raises:
        InvalidRequest: the password that is there would go to another address.
    """
    auth, old = given.get("default_callback_auth") or {}, before.get("default_callback_auth") or {}
    url = "default_callback_url"
    if "password" in old and given.get(url, before.get(url)) != before.get(url):
        if "default_callback_auth" not in given:
            raise InvalidRequest(
                "default_callback_auth must be given again with another default_callback_url: a password is"
                " kept for the address that it was given for",
                param="default_callback_auth",
            )
        return given
    if auth.get("password") != MASK or "password" not in old:
        return given
    return {**given, "default_callback_auth": {**auth, "password": old["password"]}}


def callback(asked: JSON) -> JSON | None:
    """Where each answer of an endpoint is to go too, as `services.webhooks.outbox.CALLBACK` has it; None if
    nowhere.

    Args:
        asked: all that is asked of the endpoint.

    Raises:
        InvalidRequest: it is to be called, and does not say where.
    """
    if CALLBACK not in map(str.lower, asked.get("post_inference_hooks", ())):
        return None
    if not asked.get("default_callback_url"):
        raise InvalidRequest(
            "default_callback_url is required by the hook callback: say where each answer is to be posted",
            param="default_callback_url",
            code="missing_field",
        )
    auth = asked.get("default_callback_auth") or {}
    return {
        "url": asked["default_callback_url"],
        "username": auth.get("username"),
        "password": auth.get("password"),
    }
