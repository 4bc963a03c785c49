from __future__ import annotations

from typing import Any

import pytest

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.gateway.llm_engine.hooks import MASK, callback, check_hooks, masked, unmasked

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

    def test_the_mask_is_no_password(self) -> None:
        with pytest.raises(InvalidRequest, match="must be the password") as caught:
            check_hooks({"default_callback_auth": {**BASIC, "password": MASK}})
        assert caught.value.param == "default_callback_auth.password"


class TestMask:
    def test_it_stands_for_the_password(self) -> None:
        shown = masked(BASIC)
        assert shown == {**BASIC, "password": MASK}
        sent = {"default_callback_auth": {**BASIC, "username": "v", "password": MASK}, "max_workers": 2}
        kept = unmasked(sent, {"default_callback_auth": BASIC})
        assert kept == {"default_callback_auth": {**BASIC, "username": "v"}, "max_workers": 2}

    def test_what_needs_none(self) -> None:
        assert masked(None) is None
        for given in ({}, {"default_callback_auth": None}, {"default_callback_auth": BASIC}):
            assert unmasked(given, {"default_callback_auth": {**BASIC, "password": "old"}}) == given
        masked_only = {"default_callback_auth": {**BASIC, "password": MASK}}
        assert unmasked(masked_only, {}) == masked_only

    def test_a_kept_password_goes_to_no_other_address(self) -> None:
        before = {"default_callback_auth": BASIC, "default_callback_url": URL}
        moved = {"default_callback_url": "https://example.org/mine"}
        with pytest.raises(InvalidRequest, match="must be given again") as caught:
            unmasked(moved, before)
        assert caught.value.param == "default_callback_auth"
        with_mask = {**moved, "default_callback_auth": {**BASIC, "password": MASK}}
        assert unmasked(with_mask, before) == with_mask
        without = {**moved, "default_callback_auth": None}
        assert unmasked(without, before) == without


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
