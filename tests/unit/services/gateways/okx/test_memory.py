"""A start that remembers reads what is new, knows what a whole reading knows, and trusts nothing that does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.events.common import OrderPurpose
from schemas.topics import REPORTS
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.memory import MemoryFile, recall, remember
from services.gateways.okx.owner import Owner
from services.gateways.okx.tracked import Orders, Pace
from tests.builders import btc_swap
from tests.gateway_model import World
from tests.model_venue import Client


def lived(orders: int = 3) -> World:
    """Return a world whose one gateway has sent some orders, with a fill on the second and the last taken away."""
    world = World()
    life = world.start()
    for _ in range(orders):
        world.intend(OrderPurpose.EXIT)
    world.run(life)
    held = list(world.venue.orders.values())
    world.venue.fill(held[1], Decimal(3))
    world.push(life, 1)
    world.cancel(world.intents[-1])
    world.run(life)
    assert len(life.desk.orders.orders) == orders
    assert life.desk.orders.net == {held[1].intent.instrument_id: Decimal(-3)}
    world.keep(life)
    world.kill(life)
    return world


def desk_on(world: World, *, code_version: str = "1", account: str = "demo 1", shard: int = 0) -> OrderDesk:
    owner = Owner("okx", "g9", code_version, account)
    place = (world.log, shard, Client(world.venue), owner)
    return OrderDesk(*place, clock=lambda: world.now, instruments=lambda _: btc_swap())


def known(orders: Orders) -> Orders:
    """Return what is known, without what a process only remembers about asking."""
    return replace(orders, orders={name: replace(order, pace=Pace()) for name, order in orders.orders.items()})


def test_a_start_that_remembers_reads_what_is_new_and_knows_what_a_whole_reading_knows() -> None:
    world = lived()
    assert world.kept is not None
    ends = {topic: world.log.end_offset(topic, 0) for topic in ("orders", REPORTS)}
    world.intend(OrderPurpose.EXIT)
    read: list[tuple[str, int]] = []
    original = world.log.read
    world.log.read = lambda topic, shard, offset, *, limit: (  # type: ignore[method-assign]
        read.append((topic, offset)) or original(topic, shard, offset, limit=limit)  # type: ignore[func-returns-value]
    )
    desk = desk_on(world)
    assert recall(desk, world.kept) == ""
    desk.open()
    assert min(offset for topic, offset in read if topic == REPORTS) == ends[REPORTS] - 1
    before = ends["orders"] - 100  # the reader looks back for a number that came too early
    assert min(offset for topic, offset in read if topic == "orders") >= before
    whole = desk_on(world)
    whole.open()
    assert len(desk.orders.orders) == 4
    assert known(desk.orders) == known(replace(whole.orders, claim_id=desk.orders.claim_id))
    assert (desk.reports.ts_begun, desk.reports.snapshots) == (whole.reports.ts_begun, whole.reports.snapshots)


@pytest.mark.parametrize(
    ("data", "desk", "says"),
    [
        (lambda kept: kept[:-1], {}, "it is torn"),
        (lambda kept: kept.replace(b"demo 1", b"demo 2"), {}, "it is torn"),
        (lambda kept: b"", {}, "it is torn"),
        (lambda kept: kept, {"code_version": "2"}, "another version of the code, account or shard wrote it"),
        (lambda kept: kept, {"account": "live 1"}, "another version of the code, account or shard wrote it"),
    ],
)
def test_what_does_not_fit_is_not_used(data: Callable[[bytes], bytes], desk: dict[str, str], says: str) -> None:
    world = lived()
    assert world.kept is not None
    fresh = desk_on(world, **desk)  # type: ignore[arg-type]
    assert recall(fresh, data(world.kept)) == says
    assert (fresh.orders, fresh.reports.next_offset, fresh.intents.offset) == (Orders(), 0, 0)


def test_the_memory_of_another_log_is_not_used() -> None:
    world, other, short = lived(), lived(2), World()
    assert world.kept is not None
    for log in (other, short):
        assert "it is of another log: reports has another record" in recall(desk_on(log), world.kept)


def test_a_file_is_whole_or_as_it_was_and_its_loss_stops_nothing(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "folder" / "a.memory")
    assert file.load() is None
    file.save(b"one")
    file.save(b"two")
    assert (file.load(), [path.name for path in (tmp_path / "folder").iterdir()]) == (b"two", ["a.memory"])
    (tmp_path / "file").write_bytes(b"")
    nowhere = MemoryFile(tmp_path / "file" / "a.memory")
    with capture_logs() as said:
        nowhere.save(b"one")
        nowhere.save(b"two")
        assert nowhere.load() is None
    assert [entry["event"] for entry in said] == [
        "memory not saved: the next start reads the log whole", "memory not read"
    ]  # fmt: skip


def test_remembering_does_not_keep_what_only_the_process_knew() -> None:
    world = lived()
    desk = desk_on(world)
    desk.open()
    assert any(order.pace.look for order in desk.orders.live())
    fresh = desk_on(world)
    assert recall(fresh, remember(desk)) == ""
    assert all(order.pace == Pace() for order in fresh.orders.orders.values())
