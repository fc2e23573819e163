"""The projector over a log and a real PostgreSQL: exactly once, one at a time, rebuilt equal to live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from projections.access import READ_ROLE, read_dsn
from projections.columns import Unprojectable
from projections.connect import connect
from projections.digest import differences, table_digests
from projections.embedded import EmbeddedPostgres
from projections.migrate import migrate
from projections.positions import Place, PositionMoved, ProjectorRunning, Reached, VersionDiffers
from projections.rebuild import rebuild
from projections.tables import LAYOUTS, SCHEMA
from projections.unreadable import TooManyUnreadable
from projections.writer import Progress, Projector
from schemas.codec import CodecError, encode
from schemas.events import EVENT_TYPES
from schemas.topics import OUTPUTS, TOPICS
from services.projection import LogSource
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from tests.builders import T0
from tests.events import envelope, sample, tape

pytestmark = pytest.mark.postgres

GARBAGE = NewRecord("ticks", 0, b"key", b"\x00\x00\x00\xff\xffnot ours", 0)


def log_of(records: Iterable[NewRecord]) -> MemoryLog:
    log = MemoryLog()
    log.create_topics({topic.name: 1 for topic in TOPICS})
    log.append(list(records))
    return log


def catch_up(log: MemoryLog, dsn: str, *, batch: int = 100) -> Projector:
    with Projector(LogSource(log), dsn, batch=batch) as projector:
        projector.run(until_caught_up=True)
    return projector


def count(dsn: str, what: str) -> int:
    with connect(dsn, SCHEMA) as connection:
        row = connection.execute(f"SELECT count(*) FROM {what}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_every_event_type_reaches_its_table_and_the_positions_the_end_of_the_log(database: str) -> None:
    log = log_of(tape(3))
    projector = catch_up(log, database)
    assert sum(projector.projected.records.values()) == 3 * len(EVENT_TYPES)
    assert projector.projected.rows.keys() == LAYOUTS.keys()
    assert count(database, "events") == 3 * len(EVENT_TYPES)
    assert all(lag == 0 for lag in projector.lag().values())
    assert {place: reached.offset for place, reached in projector.positions().items()} == {
        Place(topic.name, 0): log.end_offset(topic.name, 0) for topic in TOPICS
    }


def test_projecting_twice_does_not_move_a_row(database: str) -> None:
    log = log_of(tape(3))
    catch_up(log, database)
    before = table_digests(database)
    assert catch_up(log, database).projected.records == {}
    assert table_digests(database) == before


def test_repeats_and_records_ahead_of_their_turn_are_ignored(database: str, empty_database: str) -> None:
    records = list(tape(4))
    repeated = [record for record in records if record.topic in OUTPUTS]
    catch_up(log_of(records), database)
    migrate(empty_database)
    catch_up(log_of([*records, *repeated[:20], *repeated]), empty_database)
    one, other = table_digests(database), table_digests(empty_database)
    changed = [line.split(":")[0] for line in differences(one, other)]
    # The repeats lie on the log, so reading has got further; no row came of them.
    assert changed == ["projection_position"]


def test_batches_of_any_size_give_the_same_tables(database: str, empty_database: str) -> None:
    log = log_of(tape(5))
    catch_up(log, database, batch=7)
    migrate(empty_database)
    catch_up(log, empty_database, batch=10_000)
    assert differences(table_digests(database), table_digests(empty_database)) == []


def test_a_second_projector_is_refused_and_a_later_one_goes_on(database: str) -> None:
    log = log_of(tape(2))
    with Projector(LogSource(log), database) as first:
        with pytest.raises(ProjectorRunning, match="another tapeline is at work"):
            Projector(LogSource(log), database, lock_wait_s=0.2)
        first.run(until_caught_up=True)
    log.append(list(tape(1, start={name: log.end_offset(name, 0) for name in OUTPUTS})))
    assert count(database, "bars") == 2
    with pytest.raises(errors.UniqueViolation):
        # Same event times and new offsets are fine; the very same place is not.
        copy_again(database)


def copy_again(dsn: str) -> None:
    with connect(dsn, SCHEMA) as connection:
        connection.execute("INSERT INTO bars SELECT * FROM bars LIMIT 1")


def test_a_projector_whose_position_was_moved_by_another_writes_nothing_and_stops(database: str) -> None:
    log = log_of(tape(2))
    with Projector(LogSource(log), database) as projector:
        with connect(database, SCHEMA) as other:
            other.execute("UPDATE projection_position SET next_offset = 1 WHERE topic = 'bars'")
        with pytest.raises(PositionMoved, match="bars/0"):
            projector.run(until_caught_up=True)
    assert count(database, "bars") == 0


def test_tables_of_another_version_are_refused_with_what_to_do(database: str) -> None:
    log = log_of(tape(1))
    catch_up(log, database)
    with connect(database, SCHEMA) as connection:
        connection.execute("UPDATE projection_position SET version = 'older'")
    with pytest.raises(VersionDiffers, match="replay rebuild"):
        Projector(LogSource(log), database)
    assert not rebuild(LogSource(log), database).compared
    assert catch_up(log, database).projected.records == {}


def test_tables_without_a_column_this_version_fills_are_refused_by_name(database: str) -> None:
    with connect(database, SCHEMA) as connection:
        connection.execute("ALTER TABLE fills DROP COLUMN penalty")
    with pytest.raises(VersionDiffers, match=r"fills \(1 tables\)"):
        Projector(LogSource(log_of([])), database)


def test_an_unreadable_tick_is_set_aside_and_the_rest_goes_on(database: str) -> None:
    records = list(tape(2))
    projector = catch_up(log_of([*records[:5], GARBAGE, *records[5:]]), database)
    assert projector.projected.unreadable == 1
    assert count(database, "events") == len(records)
    with connect(database, SCHEMA) as connection:
        row = connection.execute("SELECT topic, log_offset, reason, head FROM quarantined_records").fetchone()
    assert row is not None
    assert (row[0], row[3]) == ("ticks", GARBAGE.value)
    assert "schema id" in row[2]


def tick_at(micros: int) -> NewRecord:
    head = envelope("tick", 1, ts_event=micros)
    return NewRecord("ticks", 0, b"key", encode(head, sample(EVENT_TYPES["Trade"], 1)), micros)


def test_a_tick_whose_time_is_no_date_is_set_aside(database: str) -> None:
    projector = catch_up(log_of([tick_at(T0), tick_at(T0 * 1000)]), database)
    assert (projector.projected.unreadable, count(database, "trade_ticks")) == (1, 1)


def test_a_decision_whose_time_is_no_date_stops_the_projector_by_name(database: str) -> None:
    head = envelope("order", 1, seq=0, ts_event=T0 * 1000)
    log = log_of([NewRecord("fills", 0, b"key", encode(head, sample(EVENT_TYPES["FillBooked"], 1)), T0)])
    with (
        pytest.raises(Unprojectable, match=r"fills/0 offset 0, FillBooked: .* another unit"),
        Projector(LogSource(log), database) as projector,
    ):
        projector.run(until_caught_up=True)


def test_too_many_unreadable_ticks_stop_the_projector(database: str) -> None:
    with (
        pytest.raises(TooManyUnreadable, match="ticks/0: 11 unreadable"),
        Projector(LogSource(log_of([GARBAGE] * 30)), database) as projector,
    ):
        projector.run(until_caught_up=True)
    assert count(database, "quarantined_records") == 0


@pytest.mark.parametrize("topic", ["orders", "commands"])
def test_an_unreadable_record_of_a_topic_that_may_not_skip_stops_the_projector(database: str, topic: str) -> None:
    log = log_of([NewRecord(topic, 0, b"key", GARBAGE.value, 0)])
    with pytest.raises(CodecError), Projector(LogSource(log), database) as projector:
        projector.run(until_caught_up=True)


def test_progress_and_lag_are_told(database: str) -> None:
    told: list[Progress] = []
    log = log_of(tape(3))
    with Projector(LogSource(log), database, batch=2, on_progress=told.append) as projector:
        assert projector.lag()[Place("bars", 0)] == 3
        projector.run(until_caught_up=True)
    bars = [(entry.offset, entry.end_offset, entry.records) for entry in told if entry.topic == "bars"]
    assert bars == [(2, 3, 2), (3, 3, 1)]


def test_it_waits_for_news_until_told_to_stop(database: str) -> None:
    log = log_of(tape(1))
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            log.append(list(tape(1, start={name: log.end_offset(name, 0) for name in OUTPUTS})))

    with Projector(LogSource(log), database) as projector:
        projected = projector.run(stop=lambda: len(waits) == 2, poll_interval_s=0.25, wait=wait)
    assert waits == [0.25, 0.25]
    assert projected.records["bars"] == 2


def test_a_rebuild_equals_what_is_in_service_and_takes_its_place(database: str) -> None:
    log = log_of(tape(4))
    catch_up(log, database)
    before = table_digests(database)
    rebuilt = rebuild(LogSource(log), database)
    assert (rebuilt.compared, rebuilt.differences, rebuilt.switched) == (True, (), True)
    assert table_digests(database) == before == rebuilt.digests
    assert schemas(database) == [SCHEMA]
    assert catch_up(log, database).projected.records == {}


def test_a_rebuild_compares_where_the_live_one_stands_and_then_goes_on_to_the_end(database: str) -> None:
    log = log_of(tape(3))
    catch_up(log, database)
    log.append(list(tape(2, start={name: log.end_offset(name, 0) for name in OUTPUTS})))
    rebuilt = rebuild(LogSource(log), database)
    assert (rebuilt.compared, rebuilt.differences) == (True, ())
    assert count(database, "bars") == 5


def test_a_rebuild_names_the_table_that_was_tampered_with_and_repairs_it(database: str) -> None:
    log = log_of(tape(3))
    catch_up(log, database)
    before = table_digests(database)
    with connect(database, SCHEMA) as connection:
        first = "(SELECT min(log_offset) FROM trades_closed)"
        connection.execute(f"UPDATE trades_closed SET net_pnl = net_pnl + 1 WHERE log_offset = {first}".encode())
        connection.execute("DELETE FROM bars WHERE log_offset = 0")
    rebuilt = rebuild(LogSource(log), database)
    assert [line.split(":")[0] for line in rebuilt.differences] == ["bars", "trades_closed"]
    assert table_digests(database) == before


def test_a_rebuild_that_only_compares_changes_nothing_and_leaves_nothing_behind(database: str) -> None:
    log = log_of(tape(2))
    catch_up(log, database)
    with connect(database, SCHEMA) as connection:
        connection.execute("DELETE FROM bars")
    before = table_digests(database)
    assert not rebuild(LogSource(log), database, switch=False).switched
    assert table_digests(database) == before
    assert schemas(database) == [SCHEMA]


def test_a_rebuild_starts_from_nothing_and_over_a_killed_one(empty_database: str) -> None:
    log = log_of(tape(2))
    migrate(empty_database, "tapeline_rebuild_1")
    rebuilt = rebuild(LogSource(log), empty_database)
    assert (rebuilt.compared, rebuilt.switched) == (False, True)
    assert schemas(empty_database) == [SCHEMA]
    assert count(empty_database, "bars") == 2


def test_a_running_projector_stops_at_the_switch_or_goes_on_where_the_new_tables_stand(database: str) -> None:
    log = log_of(tape(2))
    with Projector(LogSource(log), database) as running:
        running.run(until_caught_up=True)
        rebuild(LogSource(log), database)
        log.append(list(tape(1, start={name: log.end_offset(name, 0) for name in OUTPUTS})))
        running.run(until_caught_up=True)
    assert rebuild(LogSource(log), database).differences == ()
    with Projector(LogSource(log), database) as behind:
        log.append(list(tape(1, start={name: log.end_offset(name, 0) for name in OUTPUTS})))
        rebuild(LogSource(log), database)
        with pytest.raises(PositionMoved):
            behind.run(until_caught_up=True)
    assert count(database, "bars") == 4


def test_the_read_role_selects_from_tables_and_views_and_is_refused_a_write(database: str) -> None:
    log = log_of(tape(2))
    catch_up(log, database)
    rebuild(LogSource(log), database)
    with psycopg.connect(read_dsn(database), autocommit=True) as reader:
        assert reader.execute("SELECT current_user").fetchone() == (READ_ROLE,)
        for name in ("bars", "audit", "orders", "plans", "bars_1h"):
            assert reader.execute(f"SELECT count(*) FROM tapeline.{name}".encode()).fetchone() is not None
        reader.execute("SET default_transaction_read_only TO off")
        for statement in (
            b"INSERT INTO tapeline.bars SELECT * FROM tapeline.bars",
            b"UPDATE tapeline.bars SET backfill = true",
            b"DELETE FROM tapeline.bars",
            b"TRUNCATE tapeline.bars",
            b"DROP TABLE tapeline.bars",
            b"CREATE TABLE tapeline.mine (a int)",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                reader.execute(statement)


def test_migrations_run_twice_and_back(empty_database: str) -> None:
    from alembic import command

    from projections import migrate as module

    migrate(empty_database)
    migrate(empty_database)
    assert module.current(empty_database) == "0003"
    module.run(empty_database, SCHEMA, lambda config: command.downgrade(config, "base"))
    with connect(empty_database, SCHEMA) as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'tapeline'::regnamespace AND relkind = 'r'"
        )
        assert [row[0] for row in left] == ["alembic_version"]
    migrate(empty_database)
    catch_up(log_of(tape(1)), empty_database)


def test_the_migrated_schema_has_the_columns_the_tables_declare(database: str) -> None:
    with connect(database, SCHEMA) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s"
            " ORDER BY table_name, ordinal_position",
            (SCHEMA,),
        ).fetchall()
    for name, layout in LAYOUTS.items():
        assert tuple(column for table, column in rows if table == name) == layout.columns


def test_an_embedded_server_is_shared_by_directory_and_stops_with_its_last_holder() -> None:
    with tempfile.TemporaryDirectory(prefix="tapeline-pg-") as folder:
        directory = Path(folder) / "data"
        with EmbeddedPostgres(directory) as server:
            pid = server.pid
            assert (directory / "postmaster.pid").read_text().startswith(str(pid))
            with EmbeddedPostgres(directory) as same:
                assert same.pid == pid
            with psycopg.connect(server.dsn) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not (directory / "postmaster.pid").exists()
        with EmbeddedPostgres(directory) as again:
            assert again.pid != pid


def test_a_killed_holder_does_not_keep_an_embedded_server_up() -> None:
    with tempfile.TemporaryDirectory(prefix="tapeline-pg-") as folder:
        directory = Path(folder) / "data"
        hold = (
            "import sys; from pathlib import Path; from projections.embedded import EmbeddedPostgres;"
            "EmbeddedPostgres(Path(sys.argv[1])); print('up', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", hold, str(directory)]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        server = EmbeddedPostgres(directory)
        holder.kill()
        holder.communicate(timeout=30)
        assert json.loads((directory / ".handle_pids.json").read_text()) == [holder.pid, os.getpid()]
        server.stop()
        assert not (directory / "postmaster.pid").exists()


def schemas(dsn: str) -> list[str]:
    with connect(dsn, SCHEMA) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tapeline%'").fetchall()
    return [row[0] for row in rows]


def test_a_position_is_where_a_reader_goes_on(database: str) -> None:
    log = log_of(tape(2))
    projector = catch_up(log, database)
    assert projector.positions()[Place("bars", 0)] == Reached(2, 2)
