"""Whatever a private frame holds, reading it never raises, and never turns a damaged row into a fact in silence."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateways.okx import replies
from services.gateways.okx.fields import PayloadError
from services.gateways.okx.outcomes import read_outcome
from services.gateways.okx.updates import Reader
from services.gateways.okx.venue import Accepted, InDoubt, Refused, UpdateUnreadable
from tests.okx_payloads import PRIVATE, Recorded

pytestmark = pytest.mark.recorded
CHANNELS = {"orders": "order", "orders-algo": "algo_order", "positions": "holding", "account": "balances"}
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just([]), st.just({}), st.just([{}]),
    st.sampled_from(["", "-1", "0", "NaN", "Infinity", "1e999", "-0.1", "١", "buy", "live", "long"]),
)  # fmt: skip
ANY_JSON = JUNK | st.lists(JUNK, max_size=2) | st.dictionaries(st.text(max_size=6), JUNK, max_size=2)


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> dict[str, list[dict[str, Any]]]:
    """The recorded rows, by the function that reads them."""
    recorded = Recorded(shared_data / "okx" / "payloads")
    return {reader: [row for name in names for row in recorded.rows(name)] for reader, names in PRIVATE.items()}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_row_is_read_or_handed_on(rows: dict[str, list[dict[str, Any]]], data: st.DataObject) -> None:
    channel = data.draw(st.sampled_from(sorted(CHANNELS)))
    row = dict(data.draw(st.sampled_from(rows[CHANNELS[channel]])))
    for name in data.draw(st.lists(st.sampled_from(sorted(row)), max_size=3)):
        row[name] = data.draw(ANY_JSON)
    frame = {"arg": {"channel": channel}, "data": [row]}
    assert isinstance(list(Reader().read(frame)), list)


@given(frame=st.dictionaries(st.sampled_from(["arg", "data", "eventType"]), ANY_JSON))
def test_any_frame_at_all_is_read_or_handed_on(frame: dict[str, Any]) -> None:
    updates = list(Reader().read(frame))
    assert all(isinstance(update, UpdateUnreadable) for update in updates)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_reader_refuses_with_its_own_error_only(rows: dict[str, list[dict[str, Any]]], data: st.DataObject) -> None:
    reader = data.draw(st.sampled_from(["order", "algo_order", "execution", "holding", "balance", "fee_rates"]))
    row = dict(data.draw(st.sampled_from(rows[reader])))
    for name in data.draw(st.lists(st.sampled_from(sorted(row)), max_size=2)):
        row[name] = data.draw(st.text(max_size=12) | st.none() | st.integers())
    with suppress(PayloadError):
        assert getattr(replies, reader)(row) is not None


@given(reply=ANY_JSON | st.fixed_dictionaries({"code": JUNK, "msg": JUNK, "data": ANY_JSON}), algo=st.booleans())
def test_any_reply_is_an_outcome_and_only_a_named_order_is_accepted(reply: object, algo: bool) -> None:
    outcome = read_outcome(reply, algo=algo)
    assert isinstance(outcome, Accepted | Refused | InDoubt)
    if isinstance(outcome, Accepted):
        assert '"sCode": "0"' in json.dumps(reply)
