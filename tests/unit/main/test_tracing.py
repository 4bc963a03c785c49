"""Where traces go, and what is said where they cannot."""

from __future__ import annotations

import pytest

from paddock.errors import StartupError
from paddock.main import tracing
from paddock.settings import Settings, otlp_traces_endpoint


class TestEndpoint:
    @pytest.mark.parametrize(
        ("setting", "environ", "expected"),
        [
            (None, {}, None),
            ("http://a:4318", {}, "http://a:4318/v1/traces"),
            ("http://a:4318/x/", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}, "http://a:4318/x/v1/traces"),
            (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://b/"}, "https://b/v1/traces"),
            (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
            (
                None,
                {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b",
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/take",
                },
                "http://c/take",
            ),
            (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b", "OTEL_SDK_DISABLED": "true"}, None),
            (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b", "OTEL_TRACES_EXPORTER": "none"}, None),
            ("http://a", {"OTEL_SDK_DISABLED": "true"}, "http://a/v1/traces"),
        ],
    )
    def test_from_the_setting_or_the_standard_variables(
        self, setting: str | None, environ: dict[str, str], expected: str | None
    ) -> None:
        assert otlp_traces_endpoint(Settings(otlp_endpoint=setting), environ) == expected

    def test_one_that_is_no_address(self) -> None:
        with pytest.raises(StartupError, match=r"must begin with http:// or https://, not be 'a:4317'"):
            otlp_traces_endpoint(Settings(otlp_endpoint="a:4317"), {})


class TestInstalled:
    def test_without_the_extra_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tracing, "_installed", lambda: False)
        tracing.check(Settings())
        with pytest.raises(StartupError, match=r"pip install 'paddock\[otel\]'"):
            tracing.new_tracer(Settings(otlp_endpoint="http://a:4318"))
