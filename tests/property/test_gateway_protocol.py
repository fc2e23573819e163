"""The order protocol under kills, paused owners, lost answers, late requests and appends in doubt holds I5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events.common import OrderPurpose
from tests.gateway_model import Life, World, Write, violations
from tests.model_venue import Send
from tests.told_to_execution import misbooked

PURPOSES = (OrderPurpose.ENTRY, OrderPurpose.STOP, OrderPurpose.EXIT)
number = st.integers(0, 11)
move = st.one_of(
    st.tuples(st.sampled_from(["intend", "start", "kill", "fill", "push", "cancel", "amend", "repeat"]), number),
    st.tuples(st.sampled_from(["intend", "read", "run"]), number),
    st.tuples(st.sampled_from(["step", "steps", "go on", "keep"]), number),
    st.tuples(st.sampled_from(["advance", "land", "deaf", "tear"]), number),
)


def play(world: World, moves: Sequence[tuple[str, int]]) -> None:
    """Play moves on a world in which one gateway has been started."""
    world.start()
    for name, n in moves:
        life = world.lives[n % len(world.lives)]
        if name in _OF_A_LIFE:
            _OF_A_LIFE[name](world, life, n)
        else:
            _OF_THE_WORLD[name](world, n)


def _start(world: World, n: int) -> None:
    if len(world.lives) < 5:
        world.start(skew_us=(n - 5) * 300_000)


def _deaf(world: World, n: int) -> None:
    world.venue.deaf = n % 3


def _tear(world: World, n: int) -> None:
    if world.kept is not None:
        cut = len(world.kept) * n // 12
        world.kept = world.kept[:cut] + world.kept[cut + 1 :]


def _fill(world: World, n: int) -> None:
    held = list(world.venue.orders.values())
    if held:
        world.venue.fill(held[n % len(held)], Decimal((3, 10)[n % 2]))


def _ask(world: World, n: int, *, change: bool) -> None:
    if not world.intents:
        return
    order = world.intents[n % len(world.intents)]
    if change:
        world.amend(order, str(11 + n), str(79000 + n) if order.trigger_price else None)
    else:
        world.cancel(order)


def _repeat(world: World, n: int) -> None:
    if world.intents:
        world.put(world.intents[n % len(world.intents)], seq=max(0, world._seq - 1 - n))


def _steps(world: World, life: Life, n: int) -> None:
    for _ in range(6):
        world.step(life, n)


def _go_on(world: World, life: Life, n: int) -> None:
    for _ in range(n):
        world.run(life)
        world.advance(1)


_OF_A_LIFE: dict[str, Callable[[World, Life, int], None]] = {
    "kill": lambda world, life, n: world.kill(life),
    "read": lambda world, life, n: world.read(life),
    "keep": lambda world, life, n: world.keep(life),
    "push": lambda world, life, n: world.push(life, n),
    "step": lambda world, life, n: world.step(life, n),
    "steps": _steps,
    "run": lambda world, life, n: world.run(life),
    "go on": _go_on,
}
_OF_THE_WORLD: dict[str, Callable[[World, int], object]] = {
    "intend": lambda world, n: world.intend(PURPOSES[n % 3], valid_s=(2, 8, 30, 300)[n % 4]),
    "start": _start,
    "tear": _tear,
    "advance": lambda world, n: world.advance((0.1, 1, 3, 9, 14, 40)[n % 6]),
    "land": lambda world, n: world.venue.land(overdue_only=False),
    "deaf": _deaf,
    "fill": _fill,
    "cancel": lambda world, n: _ask(world, n, change=False),
    "amend": lambda world, n: _ask(world, n, change=True),
    "repeat": _repeat,
}


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moves=st.lists(move, max_size=60),
    sends=st.lists(st.sampled_from([Send.DONE, Send.LATE, *Send]), max_size=8),
    writes=st.lists(st.sampled_from([Write.DONE] * 20 + list(Write)), max_size=40),
)
def test_whatever_happens_log_and_venue_agree_in_the_end_and_the_trader_goes_on(
    moves: list[tuple[str, int]], sends: list[Send], writes: list[Write]
) -> None:
    world = World()
    world.venue.plan, world.log.plan = sends, writes
    play(world, moves)
    world.finish()
    assert violations(world) == []
    assert misbooked(world) == []
