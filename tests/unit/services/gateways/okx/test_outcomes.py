"""What OKX's answers to a request mean: certain only where its words are certain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.gateways.okx.outcomes import CODES, Meaning, read_outcome
from services.gateways.okx.venue import Accepted, InDoubt, Outcome, Refused


def row(code: str, *, words: str = "", algo: bool = False, top: str = "1", **reply: Any) -> Outcome:
    """Return the outcome where OKX answers with a result for this order."""
    body = {"ordId": "", "algoId": "", "sCode": code, "sMsg": words}
    return read_outcome({"code": top, "msg": "", "data": [body], **reply}, algo=algo)


def whole(code: str | int, *, words: str = "", http_status: int = 200, **reply: Any) -> Outcome:
    """Return the outcome where OKX answers about the request as a whole."""
    return read_outcome({"code": code, "msg": words, "data": [], **reply}, algo=False, http_status=http_status)


def test_success_names_the_order_and_the_gateways_times() -> None:
    reply = {
        "code": "0",
        "msg": "",
        "data": [{"ordId": "12344", "clOrdId": "t1", "sCode": "0", "sMsg": ""}],
        "inTime": "1695190491421339",
        "outTime": "1695190491423240",
    }
    assert read_outcome(reply, algo=False) == Accepted("12344", 1695190491421339, 1695190491423240)


def test_an_algo_order_is_named_by_its_own_id() -> None:
    reply = {"code": "0", "msg": "", "data": [{"algoId": "77", "ordId": "", "sCode": "0", "sMsg": ""}]}
    assert read_outcome(reply, algo=True) == Accepted("77", None, None)


@pytest.mark.parametrize("reply", [
    {"code": "0", "msg": "", "data": []},
    {"code": "0", "msg": "", "data": [{"ordId": "", "sCode": "0"}]},
    {"code": "0", "msg": "", "data": [{"ordId": "1", "sCode": "0"}, {"ordId": "2", "sCode": "0"}]},
    {"code": "0", "msg": ""},
])  # fmt: skip
def test_success_that_names_no_single_order_is_in_doubt(reply: dict[str, Any]) -> None:
    assert isinstance(read_outcome(reply, algo=False), InDoubt)


@pytest.mark.parametrize("reply", [None, "", "<html>502</html>", [], {}, {"code": None}, {"data": []}])
def test_what_is_not_a_reply_of_okx_is_in_doubt(reply: object) -> None:
    outcome = read_outcome(reply, algo=False, http_status=502)
    assert isinstance(outcome, InDoubt)
    assert "HTTP 502" in outcome.reason


@pytest.mark.parametrize("code", ["50011", "50061", "50040"])
def test_a_rate_limit_turned_it_away_before_execution(code: str) -> None:
    assert row(code, words="slow down") == Refused(code, "slow down", retryable=True)
    assert whole(code) == Refused(code, CODES[code][1], retryable=True)


@pytest.mark.parametrize("code", ["50001", "50004", "50005", "50013", "50026", "51054"])
def test_unavailable_busy_and_timed_out_say_nothing_about_the_order(code: str) -> None:
    for outcome in (row(code), whole(code, http_status=503)):
        assert isinstance(outcome, InDoubt)
        assert outcome.code == code


@pytest.mark.parametrize("code", ["51016", "50071", "51065", "51068"])
def test_an_id_that_exists_means_that_somebody_sent_it(code: str) -> None:
    assert isinstance(row(code), InDoubt)
    assert isinstance(row(code, algo=True), InDoubt)


@pytest.mark.parametrize("words", ["Parameter clOrdId error", "Parameter algoClOrdId  error"])
def test_a_parameter_error_about_the_id_may_be_a_duplicate(words: str) -> None:
    assert isinstance(row("51000", words=words), InDoubt)
    assert isinstance(whole("51000", words=words), InDoubt)
    assert isinstance(row("51000", words="Parameter px error"), Refused)


def test_a_timed_out_order_may_have_been_accepted() -> None:
    assert isinstance(row("51149", top="0", algo=True, words="Order timed out"), InDoubt)
    assert isinstance(row("51149"), InDoubt)


@pytest.mark.parametrize("code", ["51008", "51020", "51121", "51400", "51603", "54109", "59999", "12345"])
def test_what_okx_says_about_this_order_is_certain(code: str) -> None:
    assert row(code, words="no") == Refused(code, "no", retryable=False)


@pytest.mark.parametrize("code", ["50100", "50102", "50111", "50113", "51001", "54000", "50036", "50037"])
def test_what_okx_decides_before_executing_is_certain(code: str) -> None:
    assert isinstance(whole(code, http_status=401), Refused)


@pytest.mark.parametrize("code", ["1", "2", "404", 404, "50999", "58001", "99999", ""])
def test_an_unknown_code_for_the_whole_request_is_in_doubt(code: str | int) -> None:
    assert isinstance(whole(code), InDoubt)


def test_success_with_an_error_status_is_in_doubt() -> None:
    reply = {"code": "0", "msg": "", "data": [{"ordId": "12344", "sCode": "0", "sMsg": ""}]}
    assert isinstance(read_outcome(reply, algo=False, http_status=502), InDoubt)
    assert isinstance(read_outcome({**reply, "data": []}, algo=False, http_status=502), InDoubt)


def test_a_server_error_outranks_an_unknown_result() -> None:
    reply = {"code": "1", "msg": "", "data": [{"ordId": "", "sCode": "51999", "sMsg": "?"}]}
    assert isinstance(read_outcome(reply, algo=False, http_status=500), InDoubt)


def test_a_cancel_that_finds_nothing_is_refused_and_one_that_times_out_is_in_doubt() -> None:
    assert isinstance(row("51400"), Refused)
    assert isinstance(row("51412"), InDoubt)


def test_every_code_of_the_table_has_a_reason_and_the_retryable_are_few() -> None:
    assert all(code.isdecimal() and len(code) == 5 and reason for code, (_, reason) in CODES.items())
    retryable = {code for code, (meaning, _) in CODES.items() if meaning is Meaning.RETRYABLE}
    assert retryable == {"50011", "50040", "50061", "51113", "51513"}


# --- Recorded replies


def recorded(folder: Path, name: str) -> Any:
    return json.loads((folder / "okx" / "payloads" / name).read_text())


@pytest.mark.recorded
def test_recorded_refusals(shared_data: Path) -> None:
    refused = read_outcome(recorded(shared_data, "errors/http_place_order_rejected.json"), algo=False)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retryable) == ("54109", False)
    assert refused.detail.startswith("You haven't activated trading for this pair.")
    assert read_outcome(recorded(shared_data, "nautilus/http_place_algo_order_rejected.json"), algo=True) == Refused(
        "51000", "Parameter instId error"
    )
    assert read_outcome(
        recorded(shared_data, "errors/http_401_invalid_access_key.json"), algo=False, http_status=401
    ) == Refused("50111", "Invalid OK-ACCESS-KEY")
    assert read_outcome(
        recorded(shared_data, "errors/http_429_rate_limit.json"), algo=False, http_status=429
    ) == Refused("50011", "Too Many Requests", retryable=True)


@pytest.mark.recorded
def test_recorded_acceptances(shared_data: Path) -> None:
    row = recorded(shared_data, "nautilus/http_place_order_response.json")
    assert read_outcome({"code": "0", "msg": "", "data": [row]}, algo=False) == Accepted("12345678901234567890")
    for name in ("http_place_algo_order_response.json", "http_cancel_algo_order_response.json"):
        assert read_outcome(recorded(shared_data, "nautilus/" + name), algo=True) == Accepted("12345")
