from __future__ import annotations

import base64

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from paddock.errors import InvalidRequest
from paddock.services.webhooks import outbox, signatures

BODY = outbox.body_of("evt_1", "batch.completed", {"id": "batch_1"}, 1.5)


def client() -> OpenAI:
    return OpenAI(api_key="any")


class TestHeaders:
    def test_are_those_of_the_standard(self) -> None:
        """The example of the standard's own libraries."""
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        body = b'{"test": 2432232314}'
        found = signatures.headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        assert found == [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]

    def test_are_checked_and_read_by_openais_client(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.time", lambda: 1000.0)
        secret = signatures.new_secret()
        headers = dict(signatures.headers(secret, "evt_1", 1000, BODY))
        with client() as openai:
            event = openai.webhooks.unwrap(BODY, headers, secret=secret)
            assert (event.type, event.id, event.created_at) == ("batch.completed", "evt_1", 1)
            assert event.data.id == "batch_1"
            with pytest.raises(InvalidWebhookSignatureError):
                openai.webhooks.unwrap(BODY + b" ", headers, secret=secret)
            with pytest.raises(InvalidWebhookSignatureError):
                openai.webhooks.unwrap(BODY, headers, secret=signatures.new_secret())


class TestCheckSecret:
    @pytest.mark.parametrize("length", [24, 32, 64])
    def test_takes_secrets_of_the_standard(self, length: int) -> None:
        secret = "whsec_" + base64.b64encode(b"s" * length).decode()
        assert signatures.check_secret(secret, "secret") == secret
        signatures.check_secret(signatures.new_secret(), "secret")

    @pytest.mark.parametrize(
        "secret",
        [
            "",
            "whsec_",
            "secret",
            base64.b64encode(b"s" * 32).decode(),
            "whsec_" + base64.b64encode(b"s" * 23).decode(),
            "whsec_" + base64.b64encode(b"s" * 65).decode(),
            "whsec_ä" + "a" * 40,
            "whsec_" + "a b " * 12,
            "whsec_" + "a" * 33,
        ],
    )
    def test_refuses_others(self, secret: str) -> None:
        with pytest.raises(InvalidRequest, match="24 to 64 bytes in base64") as caught:
            signatures.check_secret(secret, "secret")
        assert caught.value.param == "secret"


class TestMatches:
    @pytest.mark.parametrize(
        ("events", "event", "matches"),
        [
            (["*"], "batch.failed", True),
            (["batch.*"], "batch.failed", True),
            (["batch.*"], "deployment.failed", False),
            (["deployment.ready", "batch.failed"], "batch.failed", True),
            (["batch.fail"], "batch.failed", False),
            ([], "batch.failed", False),
        ],
    )
    def test_patterns(self, events: list[str], event: str, matches: bool) -> None:
        assert outbox.matches(events, event) is matches
