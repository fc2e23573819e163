"""A shard is on one venue for life: on OKX the reports are the gateway's, and the trader's input."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.codec import decode, encode
from schemas.events.journal import Claimed
from schemas.events.orders import (
    AccountSnapshot,
    FillBooked,
    OrderAccepted,
    SubmitAttempted,
    VenueAccepted,
    VenueFill,
)
from schemas.settings import SettingsError, TradingSettings, Venue
from schemas.topics import INPUTS, JOURNAL, OUTPUTS, REPORTS, inputs_of, outputs_of
from services.bootstrap import prepare_log
from services.lag import TraderWatch
from streams.core.kernel import Kernel, KernelError
from streams.journal import FailStop, Incurable, JournalState, read_journal
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.pipeline import stages
from streams.reader import SeqReader
from streams.shards import Shards
from streams.transports.batching import Batch
from streams.venues import venue_of
from streams.verify import verify
from tests.builders import message, settings_changed
from tests.okx_shard import begun, of, put, run, snapshot, traded, trader_of


def test_the_two_venues_differ_in_whose_the_reports_are() -> None:
    assert inputs_of(Venue.PAPER) == INPUTS
    assert outputs_of(Venue.PAPER) == OUTPUTS
    assert inputs_of(Venue.OKX) == (*INPUTS, REPORTS)
    assert {*OUTPUTS} - {*outputs_of(Venue.OKX)} == {REPORTS}


def test_the_venue_is_read_from_the_first_settings_on_the_log() -> None:
    log = MemoryLog()
    create_log(log)
    assert venue_of(log, 0) is None
    put(log, "settings", settings_changed())
    assert venue_of(log, 0) is Venue.PAPER
    assert venue_of(begun(), 0) is Venue.OKX


def test_on_okx_the_trader_takes_the_reports_and_writes_none() -> None:
    log = begun()
    order = traded(log)
    assert [type(event) for event in of(log, REPORTS)] == [
        AccountSnapshot,
        SubmitAttempted,
        VenueAccepted,
        VenueFill,
        VenueFill,
    ]
    assert [event.client_order_id for event in of(log, "orders") if isinstance(event, OrderAccepted)] == [
        order.client_order_id
    ]
    assert [event.last_price for event in of(log, "fills") if isinstance(event, FillBooked)] == [Decimal(79990)]


def test_the_journal_records_when_reports_were_taken_and_the_run_is_proven() -> None:
    log = begun()
    traded(log)
    claim = decode(log.read(JOURNAL, 0, 0, limit=1)[0].value)[1]
    assert isinstance(claim, Claimed)
    assert claim.input_topics == (*INPUTS, REPORTS)
    commits = read_journal(log, 0, JournalState(), log.end_offset(JOURNAL, 0))
    assert sum(part.count for each in commits for part in each.commit.runs if part.topic == REPORTS) == 5
    report = verify(log, 0, stages())
    assert report.difference is None
    assert report.inputs[REPORTS] == 5
    assert REPORTS not in report.outputs
    assert REPORTS not in report.digests
    progress = TraderWatch(log, 0).progress()
    assert (progress.inputs, progress.lag) == (1 + 3 + 1 + 5, 0)


def test_a_changed_report_is_found_by_verify() -> None:
    log = begun()
    traded(log)
    stored = log._partitions[REPORTS][0]
    envelope, event = decode(stored[3].value)
    assert isinstance(event, VenueFill)
    forged = NewRecord(REPORTS, 0, b"k", encode(envelope, snapshot()), 0)
    stored[3:4] = [type(stored[3])(REPORTS, 0, 3, b"k", forged.value)]
    assert not verify(log, 0, stages()).proven


def test_recovery_goes_on_in_the_reports_where_it_was() -> None:
    log = begun()
    traded(log)
    again = trader_of(log)
    recovered = again.start()
    assert recovered.from_step > 0
    assert recovered.positions[REPORTS] == 5
    assert recovered.republished == 0
    without = trader_of(log)
    log._partitions["checkpoints"][0].clear()
    assert without.start().positions[REPORTS] == 5
    assert without.kernel.state_json() == again.kernel.state_json()


def test_a_report_that_was_skipped_stops_the_trader() -> None:
    log = begun()
    trader = run(log)
    put(log, REPORTS, snapshot(), snapshot())
    with pytest.raises(FailStop, match="reports offset 0 is missing, 1 was delivered"):
        trader.process(REPORTS, log.read(REPORTS, 0, 1, limit=1))


def test_on_paper_a_report_that_the_trader_did_not_write_counts_for_no_reader() -> None:
    log = begun(Venue.PAPER)
    run(log)
    (opened,) = of(log, REPORTS)
    put(log, REPORTS, snapshot())
    assert of(log, REPORTS) == [opened]


def test_a_reader_there_before_the_first_settings_learns_the_venue_from_them() -> None:
    log = MemoryLog()
    create_log(log)
    reader = SeqReader(log, REPORTS, 0)
    assert reader.poll(10) == []
    put(log, "settings", settings_changed(venue=Venue.OKX))
    put(log, REPORTS, snapshot())
    assert [accepted.event for accepted in reader.poll(10)] == [snapshot()]


def test_a_stage_that_would_report_on_okx_stops_the_shard() -> None:
    speaking = [replace(stage, only_on=None) for stage in stages()]
    kernel = Kernel(speaking, code_version="1")
    settings = message(settings_changed(venue=Venue.OKX))
    with pytest.raises(KernelError, match="stage venue emitted AccountSnapshot, but on OKX topic reports is the gate"):
        kernel.step_event(settings.envelope, settings.event)


@pytest.mark.parametrize(("first", "then"), [(Venue.PAPER, Venue.OKX), (Venue.OKX, Venue.PAPER)])
def test_settings_of_another_venue_stop_the_shard(first: Venue, then: Venue) -> None:
    log = begun(first)
    run(log)
    put(log, "settings", settings_changed(venue=then))
    with pytest.raises(Incurable, match=f"venue={then}, but this shard is on {first} for life"):
        run(log)


def test_settings_of_another_venue_are_refused_before_they_reach_the_log() -> None:
    log = MemoryLog()
    prepare_log(log, TradingSettings(venue="OKX"))
    with pytest.raises(SettingsError, match="venue=PAPER: shard 0 of this log is on OKX for life"):
        prepare_log(log, TradingSettings())
    assert log.end_offset("settings", 0) == 1
    assert prepare_log(log, TradingSettings(venue="OKX", risk_budget_pct=Decimal(2)))


def test_a_venue_that_there_is_not_is_named() -> None:
    with pytest.raises(SettingsError, match="venue=BINANCE: must be one of PAPER, OKX"):
        TradingSettings.from_values({"venue": "BINANCE"})


@pytest.mark.parametrize(("venue", "taken"), [(Venue.PAPER, False), (Venue.OKX, True)])
def test_a_worker_is_fed_reports_only_where_they_are_an_input(venue: Venue, taken: bool) -> None:
    log = begun(venue)

    async def scenario() -> None:
        shards = Shards(log, lambda number: trader_of(log), lambda where, error: pytest.fail(f"{where}: {error}"))
        assert shards.takes(REPORTS, 0)
        await shards.assign({0})
        put(log, REPORTS, snapshot())
        assert shards.takes(REPORTS, 0) is taken
        assert shards.takes("ticks", 0)
        assert shards.next_offset(REPORTS, 0) == (0 if taken else None)
        first = 0 if taken else 1
        await shards.take(Batch(REPORTS, 0, log.read(REPORTS, 0, first, limit=10)))
        await shards.revoke(finish=True)
        assert shards.waiting() == {}

    asyncio.run(scenario())
    commits = list(read_journal(log, 0, JournalState(), log.end_offset(JOURNAL, 0)))
    assert any(part.topic == REPORTS for each in commits for part in each.commit.runs) is taken
