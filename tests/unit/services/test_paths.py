"""What paths may name. Callers try everything to read what is not theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paddock.errors import InvalidRequest
from paddock.services.paths import (
    Allowed,
    Named,
    Spot,
    allowed,
    check_address,
    input_spot,
    output_spot,
    parse,
    split_allowed,
)
from paddock.settings import Settings

PARAM = "input_data_path"
FILE = "file-0123456789abcdef01234567"


def known(
    tmp_path: Path, *folders: Path, addresses: tuple[str, ...] | None = None, blobs: str | None = None
) -> Allowed:
    return Allowed(folders, addresses, tmp_path / "data", blobs)


class TestParse:
    @pytest.mark.parametrize(
        ("text", "kind", "value"),
        [
            (FILE, "id", FILE),
            ("prompts.json", "name", "prompts.json"),
            ("file-list", "name", "file-list"),
            ("größe 1.json", "name", "größe 1.json"),
            ("/data/prompts.json", "path", "/data/prompts.json"),
            ("file:///data/a%20b.json", "path", "/data/a b.json"),
            ("file://localhost/data/x", "path", "/data/x"),
            ("s3://bucket/some/key.json", "s3", "s3://bucket/some/key.json"),
        ],
    )
    def test_what_it_names(self, text: str, kind: Any, value: str) -> None:
        assert parse(text, PARAM) == Named(kind, value)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a\0b",
            "\ud800",
            "some/file",
            "./file",
            "../file",
            "~",
            "~/file",
            "~root",
            ".",
            "..",
            "http://example.org/x",
            "gs://bucket/key",
            "FILE:///etc/passwd",
            "file://other-host/etc/passwd",
            "file://relative",
            "file:///a%00b",
            "file:///%ff",
            "x" * 5000,
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://bucket/a//b",
            "s3://bucket/../other",
            "s3://Bucket/key",
            "s3://bucket/" + "k" * 1000,
            "line\nbreak",
        ],
    )
    def test_what_names_nothing(self, text: str) -> None:
        with pytest.raises(InvalidRequest) as raised:
            parse(text, PARAM)
        assert raised.value.param == PARAM
        assert raised.value.message.startswith(PARAM)

    def test_says_what_would_be_right(self) -> None:
        with pytest.raises(InvalidRequest, match=r"the id of a stored file, .* not 'http://x/y'; http://"):
            parse("http://x/y", PARAM)


class TestAllowed:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("", []),
            ("/a", ["/a"]),
            ("/a:/b:", ["/a", "/b"]),
            ("s3://bucket/x", ["s3://bucket/x"]),
            ("/a:s3://bucket:/b", ["/a", "s3://bucket", "/b"]),
            ("s3://one/:s3://two", ["s3://one/", "s3://two"]),
            ("/data/s3:/b", ["/data/s3", "/b"]),
        ],
    )
    def test_its_parts(self, text: str, parts: list[str]) -> None:
        assert split_allowed(text) == parts

    @pytest.mark.parametrize(
        ("settings", "addresses"),
        [
            (Settings(host="127.0.0.1"), None),
            (Settings(host="127.0.0.1", allow_path="/a"), None),
            (Settings(host="127.0.0.1", require_keys=True), ()),
            (Settings(host="127.0.0.1", require_keys=True, allow_path="/a"), ()),
            (Settings(host="0.0.0.0"), ()),
            (Settings(host="0.0.0.0", allow_anonymous=True), ()),
            (Settings(host="0.0.0.0", allow_path="s3://b/x"), ("s3://b/x",)),
        ],
    )
    def test_what_is_open_without_the_option(
        self, settings: Settings, addresses: tuple[str, ...] | None
    ) -> None:
        found = allowed(settings)
        assert found.addresses == addresses
        assert found.folders == ((Path("/a"),) if settings.allow_path == "/a" else ())

    def test_of_settings(self) -> None:
        found = allowed(Settings(allow_path="/a:s3://bucket/x/", blobs="s3://own/prefix/"))
        assert (found.folders, found.addresses) == ((Path("/a"),), ("s3://bucket/x",))
        assert found.blobs == "s3://own/prefix"


class TestSpots:
    def test_below_an_allowed_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        (folder / "deep").mkdir(parents=True)
        found = known(tmp_path, tmp_path / "other", folder)
        spot = input_spot(f"{folder}/deep/../deep/./x.json", found, PARAM)
        assert spot == Spot(str(folder), ("deep", "x.json"))
        assert (spot.path, spot.folder, spot.name) == (f"{folder}/deep/x.json", f"{folder}/deep", "x.json")
        assert output_spot(f"{folder}/deep/x.json", found, PARAM) == spot

    def test_an_allowed_folder_may_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        spot = input_spot(f"{tmp_path}/link/x", known(tmp_path, tmp_path / "link"), PARAM)
        assert spot.path == f"{tmp_path}/real/x"

    def test_a_link_within_is_followed(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        (folder / "a").mkdir(parents=True)
        (folder / "b").symlink_to(folder / "a")
        assert input_spot(f"{folder}/b/x", known(tmp_path, folder), PARAM).parts == ("a", "x")

    @pytest.mark.parametrize("there", [True, False])
    def test_nothing_is_told_of_what_lies_outside(self, tmp_path: Path, there: bool) -> None:
        folder, secret = tmp_path / "in", tmp_path / "secret"
        folder.mkdir()
        if there:
            secret.write_text("secret")
        (folder / "link").symlink_to(secret)
        (folder / "up").symlink_to(tmp_path)
        found = known(tmp_path, folder)
        for path in (secret, f"{folder}/../secret", f"{folder}/link", f"{folder}/up/secret", f"{folder}2/x"):
            with pytest.raises(InvalidRequest) as raised:
                input_spot(str(path), found, PARAM)
            assert raised.value.code == "path_not_allowed"
            assert raised.value.message == (
                f"input_data_path: the path {str(path)!r} may not be named: here may be named what lies below"
                f" {folder}; the operator allows a folder with --allow-path"
            )
        with pytest.raises(InvalidRequest, match="may not be named"):
            output_spot(f"{folder}/up/new", found, PARAM)

    def test_nothing_without_the_option(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=r"may not be named; the operator allows .* --allow-path$"):
            input_spot("/etc/passwd", known(tmp_path), PARAM)

    def test_the_folder_itself_is_no_file(self, tmp_path: Path) -> None:
        for path in (tmp_path, f"{tmp_path}/"):
            with pytest.raises(InvalidRequest):
                input_spot(str(path), known(tmp_path, tmp_path), PARAM)
            with pytest.raises(InvalidRequest):
                output_spot(str(path), known(tmp_path, tmp_path), PARAM)

    def test_what_the_server_keeps_for_itself(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        (data / "shared").mkdir(parents=True)
        for folder in (tmp_path, data):
            with pytest.raises(InvalidRequest):
                input_spot(f"{data}/paddock.db", known(tmp_path, folder), PARAM)
        named = known(tmp_path, data / "shared")
        assert input_spot(f"{data}/shared/x", named, PARAM).parts == ("x",)

    @pytest.mark.parametrize("name", ["", ".", ".."])
    def test_an_output_needs_a_name(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "a").mkdir()
        with pytest.raises(InvalidRequest, match="must end with the name of a file"):
            output_spot(f"{tmp_path}/a/{name}", known(tmp_path, tmp_path), PARAM)

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match="more than 200 bytes"):
            output_spot(f"{tmp_path}/{'é' * 101}", known(tmp_path, tmp_path), PARAM)

    def test_a_link_is_no_way_to_write_elsewhere(self, tmp_path: Path) -> None:
        """The name stands for the link itself, which is there already."""
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "x").symlink_to(tmp_path / "elsewhere")
        spot = output_spot(f"{tmp_path}/in/x", known(tmp_path, tmp_path / "in"), PARAM)
        assert spot.path == f"{tmp_path}/in/x"


class TestAddresses:
    @pytest.mark.parametrize("address", ["s3://own/prefix", "s3://own/prefix/files/x", "s3://own/prefix/.."])
    def test_the_servers_own_storage(self, tmp_path: Path, address: str) -> None:
        with pytest.raises(InvalidRequest, match="may not be named") as raised:
            check_address(address, known(tmp_path, blobs="s3://own/prefix"), PARAM)
        assert raised.value.code == "path_not_allowed"

    def test_a_whole_bucket_of_its_own(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest):
            check_address("s3://own/anything", known(tmp_path, blobs="s3://own"), PARAM)
        check_address("s3://own2/anything", known(tmp_path, blobs="s3://own"), PARAM)

    def test_any_other_while_none_is_named(self, tmp_path: Path) -> None:
        check_address("s3://own/prefix2/x", known(tmp_path, blobs="s3://own/prefix"), PARAM)

    def test_none_where_none_is_allowed(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=r"allows an s3:// address with --allow-path$"):
            check_address("s3://bucket/x", known(tmp_path, addresses=()), PARAM)

    def test_only_those_that_are_named(self, tmp_path: Path) -> None:
        found = known(tmp_path, addresses=("s3://bucket/in",))
        check_address("s3://bucket/in/x", found, PARAM)
        for address in ("s3://bucket/in2/x", "s3://other/in/x"):
            with pytest.raises(InvalidRequest, match="below s3://bucket/in; the operator"):
                check_address(address, found, PARAM)
