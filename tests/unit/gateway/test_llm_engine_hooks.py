from __future__ import annotations

from typing import Any

import pytest

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.gateway.llm_engine.hooks import callback, check_hooks

URL = "https://example.com/done"
BASIC = {"kind": "basic", "username": "u", "password": "p"}


class TestCheckHooks:
    @pytest.mark.parametrize("hooks", [[], ["callback"], ["Callback", "LOGGING"], ["billing", "logging"]])
    def test_what_there_is_is_taken(self, hooks: list[str]) -> None:
        check_hooks({"post_inference_hooks": hooks, "default_callback_auth": BASIC})

    def test_others_are_named_beside_what_there_is(self) -> None:
        with pytest.raises(InvalidRequest, match="callback, billing, logging, not 'other'") as caught:
            check_hooks({"post_inference_hooks": ["billing", "other"]})
        assert caught.value.param == "post_inference_hooks"

    def test_no_certificate_is_shown(self) -> None:
        with pytest.raises(UnsupportedParameter, match="basic") as caught:
            check_hooks({"default_callback_auth": {"kind": "mtls", "cert": "c", "key": "k"}})
        assert caught.value.param == "default_callback_auth"

    def test_a_name_that_basic_cannot_say(self) -> None:
        with pytest.raises(InvalidRequest, match="colon"):
            check_hooks({"default_callback_auth": {**BASIC, "username": "a:b"}})


class TestCallback:
    @pytest.mark.parametrize(
        "asked", [{}, {"default_callback_url": URL}, {"post_inference_hooks": ["billing"]}]
    )
    def test_nobody_is_called_who_is_not_wanted(self, asked: dict[str, Any]) -> None:
        assert callback(asked) is None

    def test_where_and_with_what(self) -> None:
        asked = {"post_inference_hooks": ["CALLBACK"], "default_callback_url": URL}
        assert callback(asked) == {"url": URL, "username": None, "password": None}
        found = callback({**asked, "default_callback_auth": BASIC})
        assert found == {"url": URL, "username": "u", "password": "p"}

    def test_a_callback_without_an_address(self) -> None:
        with pytest.raises(InvalidRequest, match="default_callback_url is required") as caught:
            callback({"post_inference_hooks": ["callback"]})
        assert caught.value.param == "default_callback_url"
