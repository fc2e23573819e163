"""The checker of the order protocol is checked: every weaker protocol is caught, in the scene it fails in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from schemas.codec import decode
from schemas.envelope import Event
from schemas.events.common import OrderPurpose
from schemas.events.orders import OrderIntended
from services.gateways.okx import desk as desk_module
from services.gateways.okx import protocol
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.owner import ReportsTopic
from services.gateways.okx.tracked import Phase, Tracked
from services.gateways.okx.venue import VenueUnavailable
from streams.log.base import Append
from tests.gateway_model import World, violations
from tests.model_venue import BTC, Client, NoDeadline, Send


class ResendsOnAbsence(OrderDesk):
    """Sends again what the venue does not know."""

    async def look(self, order: Tracked) -> None:
        with contextlib.suppress(VenueUnavailable):
            found = await self.client.find_order(order.intent.client_order_id, BTC, is_algo=False)
            if found is None and order.phase is Phase.ATTEMPTED:
                order.pace.refused = True
                return
        await super().look(order)


class SendsFirst(OrderDesk):
    """Logs the attempt once the venue has answered."""

    async def send(self, order: Tracked) -> None:
        attempt = protocol.attempt_of(order, self.reports.claim_id, self.clock())
        instrument = self.instruments(BTC)
        assert instrument is not None
        answer = await self.client.submit(protocol.as_sent(order, attempt), instrument)
        self._say(order, [attempt])
        self._say(order, protocol.after_submit(order, answer, self.reports.claim_id, self.clock()))


class TakesEverySeq(OrderDesk):
    """Reads every record of ``orders``, whether it counts or not."""

    def read(self) -> int:
        for record in self.intents.log.read("orders", 0, 0, limit=1_000):
            self.orders.intended(*decode(record.value))
        return 0


class _Unchecked(ReportsTopic):
    """Goes on wherever its record landed."""

    def report(self, event: Event, **place: Any) -> None:
        append_at = self.log.append_at

        def landed_somewhere(record: Any, expected: int) -> Append:
            append_at(record, expected)
            return Append.ACCEPTED

        self.log.append_at = landed_somewhere  # type: ignore[method-assign]
        try:
            super().report(event, **place)
        finally:
            self.log.append_at = append_at  # type: ignore[method-assign]


def _absent_means_not_sent(order: Tracked, asked_at: int, claim_id: str) -> list[Event]:
    deadline, order.deadline = order.deadline, None
    found = _ABSENT(order, asked_at, claim_id)
    order.deadline = deadline
    return found


_ABSENT = protocol.absent


def steps(world: World, life: Any, count: int) -> None:
    for _ in range(count):
        world.step(life)


def late_request(world: World) -> None:
    """The answer to a send is lost, and the request arrives once the venue has said that it does not know it."""
    life = world.start()
    world.venue.plan = [Send.LATE]
    world.intend(OrderPurpose.EXIT)
    world.run(life)
    world.run(life)
    world.advance(2)
    world.run(life)
    world.venue.land(overdue_only=False)
    world.finish()


def very_late_request(world: World) -> None:
    """The request arrives long after its deadline, and after it was reported as not sent."""
    life = world.start()
    world.venue.plan = [Send.LATE]
    world.intend(OrderPurpose.EXIT)
    for _ in range(20):
        world.run(life)
        world.advance(2)
    world.venue.land(overdue_only=False)
    world.finish()


def crash_after_send(world: World) -> None:
    """The process dies between the send and everything after it."""
    life = world.start()
    world.intend(OrderPurpose.EXIT)
    world.read(life)
    steps(world, life, 2)
    world.kill(life)
    world.finish()


def paused_owner(world: World) -> None:
    """An owner is paused before its attempt; another claims, sends and is through; the first goes on."""
    first = world.start()
    world.intend()
    world.read(first)
    steps(world, first, 1)
    world.run(world.start())
    steps(world, first, 4)
    world.finish()


def late_word_of_a_former_owner(world: World) -> None:
    """A former owner whose clock is ahead says that an order expired, just when its successor has sent it."""
    former = world.start(skew_us=10_000_000)
    world.intend(valid_s=8)
    owner = world.start()
    world.read(owner)
    steps(world, owner, 3)
    world.read(former)
    steps(world, former, 1)
    steps(world, owner, 4)
    world.finish()


def uncommitted_intent(world: World) -> None:
    """``orders`` holds an intent whose number is not the next: its predecessor is not there."""
    order: OrderIntended = world.intend(OrderPurpose.EXIT)
    stray = world.intents.pop()
    assert stray is order
    world.log._partitions["orders"][0].clear()
    world.put(order, seq=7)
    world.finish()


SCENES: list[Callable[[World], None]] = [
    late_request,
    very_late_request,
    crash_after_send,
    paused_owner,
    late_word_of_a_former_owner,
    uncommitted_intent,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_protocol_that_ships_holds_in_every_scene(scene: Callable[[World], None]) -> None:
    world = World()
    scene(world)
    assert violations(world) == []


def caught(scene: Callable[[World], None], words: str, *, by_anybody: bool = False, **world: Any) -> None:
    broken = World(**world)
    scene(broken)
    found = violations(broken, by_anybody=by_anybody)
    assert any(words in problem for problem in found), found


def test_sending_again_what_the_venue_does_not_know_is_caught() -> None:
    caught(late_request, "came to be 2 times", make=ResendsOnAbsence)


def test_not_telling_the_venue_a_deadline_is_caught() -> None:
    caught(very_late_request, "the log says it never came to the venue", client=NoDeadline)


def test_not_sent_said_before_the_deadline_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "absent", _absent_means_not_sent)
    caught(late_request, "the log says it never came to the venue")


def test_sending_before_the_attempt_is_on_the_log_is_caught() -> None:
    caught(crash_after_send, "came to be 2 times", make=SendsFirst)


def test_not_looking_where_an_append_landed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "ReportsTopic", _Unchecked)
    caught(paused_owner, "came to be 2 times")


def test_believing_anybodys_not_sent_is_caught() -> None:
    caught(late_word_of_a_former_owner, "the log says it never came to the venue", by_anybody=True)


def test_taking_an_intent_that_does_not_count_is_caught() -> None:
    caught(uncommitted_intent, "is not in the history", make=TakesEverySeq)


def test_the_model_venue_does_not_refuse_a_repeated_id() -> None:
    world = World()
    order = world.intend(OrderPurpose.EXIT)
    world.venue.arrive(order)
    world.venue.arrive(order)
    assert violations(world)[0].endswith("came to be 2 times")
    assert Client(world.venue).venue.created[order.client_order_id] == 2
