from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from paddock.errors import StartupError
from paddock.store import migrate
from paddock.store.database import Database
from paddock.store.ledger import Ledger
from paddock.store.ledger_tables import LedgerBase
from paddock.store.sessions import Store
from paddock.store.tables import Base
from paddock.store.webhook_tables import WebhookRow
from tests.store.fakes import ledger_beside


def engine_of(database: Database) -> sa.Engine:
    return database._engine


class TestMigrations:
    def test_the_newest_is_the_one_that_the_code_names(self) -> None:
        config = Config()
        config.set_main_option("script_location", "paddock:store/migrations")
        assert ScriptDirectory.from_config(config).get_heads() == [migrate.STORE.head]

    def test_they_make_the_tables_of_the_code(self, empty: str) -> None:
        store = Store(empty)
        try:
            with engine_of(store).connect() as connection:
                context = MigrationContext.configure(connection, opts={"compare_server_default": True})
                assert compare_metadata(context, WebhookRow.metadata) == []
                assert sorted(_unique(connection)) == [
                    "adapters_by_name",
                    "deployments_by_name",
                    "tuned_models_by_name",
                ]
        finally:
            store.close()

    def test_servers_that_start_together_migrate_once(self, empty: str) -> None:
        with ThreadPoolExecutor(4) as threads:
            stores = list(threads.map(lambda _: Store(empty), range(4)))
        for store in stores:
            with engine_of(store).connect() as connection:
                assert connection.execute(sa.text("SELECT count(*) FROM revision")).scalar() == 1
            store.close()

    def test_a_store_of_a_newer_version_is_refused(self, url: str) -> None:
        store = Store(url)
        with engine_of(store).begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        store.close()
        with pytest.raises(StartupError, match=r"version 9999.*install a newer Paddock"):
            Store(url)


class TestLedger:
    def test_the_newest_is_the_one_that_the_code_names(self) -> None:
        config = Config()
        config.set_main_option("script_location", "paddock:store/ledger_migrations")
        assert ScriptDirectory.from_config(config).get_heads() == [migrate.LEDGER.head]

    def test_they_make_the_tables_of_the_code(self, empty: str) -> None:
        ledger = Ledger(empty)
        ledger.open()
        try:
            with engine_of(ledger).connect() as connection:
                options = {"compare_server_default": True, "version_table": migrate.LEDGER.table}
                context = MigrationContext.configure(connection, opts=options)
                assert compare_metadata(context, LedgerBase.metadata) == []
        finally:
            ledger.close()

    def test_both_chains_live_in_one_database(self, empty: str) -> None:
        store, ledger = Store(empty), Ledger(empty)
        try:
            ledger.open()
            ledger.open()
            with engine_of(ledger).connect() as connection:
                names = set(sa.inspect(connection).get_table_names())
            assert names >= {"alembic_version", "ledger_version", "deployments", "usage_requests"}
        finally:
            store.close()
            ledger.close()

    def test_a_ledger_of_a_newer_version_is_refused(self, url: str, tmp_path: Path) -> None:
        store = Store(url)
        ledger = ledger_beside(store, tmp_path)
        store.close()
        with engine_of(ledger).begin() as connection:
            connection.execute(sa.text("UPDATE ledger_version SET version_num = '9999'"))
        with pytest.raises(StartupError, match=r"the ledger has version 9999.*install a newer Paddock"):
            ledger.open()


class TestOpen:
    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("mysql://root@localhost/paddock", "sqlite:///PATH or postgresql://"),
            ("not a url", "must look like"),
            ("sqlite:////proc/nothing/here.db", "choose another --data-dir"),
        ],
    )
    def test_what_is_no_store_is_said(self, url: str, said: str) -> None:
        with pytest.raises(StartupError, match=said):
            Store(url)

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "notes.db").write_text("Dear diary, this is no database at all, only a text. " * 20)
        with pytest.raises(StartupError, match="not a database"):
            Store(f"sqlite:///{tmp_path / 'notes.db'}")

    def test_a_server_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StartupError, match="cannot open the store postgresql") as caught:
            Store(f"postgresql://someone:secret@/paddock?host={tmp_path}")
        assert "secret" not in str(caught.value)

    def test_others_cannot_read_the_file(self, tmp_path: Path) -> None:
        Store(f"sqlite:///{tmp_path / 'deep' / 'store.db'}").close()
        assert (tmp_path / "deep" / "store.db").stat().st_mode & 0o077 == 0


def _unique(connection: sa.Connection) -> list[Any]:
    inspector = sa.inspect(connection)
    return [
        index["name"]
        for table in Base.metadata.tables
        for index in inspector.get_indexes(table)
        if index["unique"]
    ]
