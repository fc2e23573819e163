"""The metrics of the programs that talk to the world outside: venue and context sources."""

from __future__ import annotations

from services.metrics.metric import Kind, Metric, Service

MARKET = (
    Metric(
        "tapeline_market_frames_total", Kind.COUNTER, Service.MARKET, "frames",
        "WebSocket messages read from the venue, also those without a tick.",
    ),
    Metric(
        "tapeline_market_ticks_total", Kind.COUNTER, Service.MARKET, "ticks",
        "Ticks written to the log.", ("event",),
    ),
    Metric(
        "tapeline_market_repeats_total", Kind.COUNTER, Service.MARKET, "ticks",
        "Bars and trades that were on the log already and were dropped.",
    ),
    Metric(
        "tapeline_market_quarantined_total", Kind.COUNTER, Service.MARKET, "frames",
        "Messages of the venue that could not be read and were set aside.",
    ),
    Metric(
        "tapeline_market_disconnects_total", Kind.COUNTER, Service.MARKET, "connections",
        "Connections to the venue that were up and ended.",
    ),
    Metric(
        "tapeline_market_dial_failures_total", Kind.COUNTER, Service.MARKET, "attempts",
        "Attempts that did not become a connection.",
    ),
    Metric(
        "tapeline_market_book_gaps_total", Kind.COUNTER, Service.MARKET, "gaps",
        "Sequence gaps in order books.",
    ),
    Metric(
        "tapeline_market_book_resyncs_total", Kind.COUNTER, Service.MARKET, "books",
        "Order books made whole again.",
    ),
    Metric(
        "tapeline_market_backfilled_bars_total", Kind.COUNTER, Service.MARKET, "bars",
        "Bars fetched over REST, at the start and after gaps.",
    ),
    Metric(
        "tapeline_market_rest_failures_total", Kind.COUNTER, Service.MARKET, "requests",
        "Requests to the venue that failed, retried or not.",
    ),
    Metric(
        "tapeline_market_waited_seconds_total", Kind.COUNTER, Service.MARKET, "seconds",
        "Time during which reading stood still because the log was slower than the feed.",
    ),
    Metric(
        "tapeline_market_inbox_frames_max", Kind.GAUGE, Service.MARKET, "frames",
        "Most messages that ever waited to be written.",
    ),
    Metric(
        "tapeline_market_lag_seconds", Kind.GAUGE, Service.MARKET, "seconds",
        "Age of the oldest tick of the last append when it was durable.",
    ),
)  # fmt: skip

GATEWAY = (
    Metric(
        "tapeline_gateway_trading", Kind.GAUGE, Service.GATEWAY, "0 or 1",
        "Whether orders go to the venue; 0 on paper, and until the start's gates have been passed.",
    ),
    Metric(
        "tapeline_gateway_reports_total", Kind.COUNTER, Service.GATEWAY, "reports",
        "Reports written to the log, by kind; SubmitAttempted counts the attempts.", ("event",),
    ),
    Metric(
        "tapeline_gateway_answers_total", Kind.COUNTER, Service.GATEWAY, "answers",
        "What the venue answered to a request: accepted, refused, busy (a rate limit; asked again) or in_doubt.",
        ("request", "answer"),
    ),
    Metric(
        "tapeline_gateway_orders", Kind.GAUGE, Service.GATEWAY, "orders",
        "Orders of which more than a late fill may come: FRESH, ATTEMPTED or AT_VENUE.", ("phase",),
    ),
    Metric(
        "tapeline_gateway_in_doubt_orders", Kind.GAUGE, Service.GATEWAY, "orders",
        "Orders that were perhaps sent; the venue is asked until it is known.",
    ),
    Metric(
        "tapeline_gateway_in_doubt_oldest_seconds", Kind.GAUGE, Service.GATEWAY, "seconds",
        "Age of the oldest of them since its attempt; 0: none.",
    ),
    Metric(
        "tapeline_gateway_reconciliations_total", Kind.COUNTER, Service.GATEWAY, "snapshots",
        "Times the venue's account was read whole and told to the trader.",
    ),
    Metric(
        "tapeline_gateway_reconciled_age_seconds", Kind.GAUGE, Service.GATEWAY, "seconds",
        "Time since the last of them, or since trading began; 0 on paper.",
    ),
    Metric(
        "tapeline_gateway_switch_age_seconds", Kind.GAUGE, Service.GATEWAY, "seconds",
        "Time since the venue last confirmed its cancel-all-after, or since trading began; at 30 it cancels entries.",
    ),
    Metric(
        "tapeline_gateway_unanswered_total", Kind.COUNTER, Service.GATEWAY, "questions",
        "Questions to the venue that got no answer; each is asked again.",
    ),
    Metric(
        "tapeline_gateway_link_up", Kind.GAUGE, Service.GATEWAY, "0 or 1",
        "Whether the venue's private updates arrive.",
    ),
    Metric(
        "tapeline_gateway_links_lost_total", Kind.COUNTER, Service.GATEWAY, "connections",
        "Times they stopped arriving.",
    ),
)  # fmt: skip

ADAPTERS = (
    Metric(
        "tapeline_source_state_level", Kind.GAUGE, Service.ADAPTERS, "0 UP, 1 STALE, 2 DOWN",
        "Whether a context source delivers, as of its last answer.", ("source",),
    ),
    Metric(
        "tapeline_source_last_ok_timestamp_seconds", Kind.GAUGE, Service.ADAPTERS, "seconds since 1970",
        "When a context source last gave something usable.", ("source",),
    ),
    Metric(
        "tapeline_source_items_total", Kind.COUNTER, Service.ADAPTERS, "events",
        "Events of a context source written to the log, changes of its state among them.", ("source",),
    ),
    Metric(
        "tapeline_source_set_aside_total", Kind.COUNTER, Service.ADAPTERS, "values",
        "Headlines and numbers in the answers of a context source that no decision may use, repeats too.", ("source",),
    ),
    Metric(
        "tapeline_source_failures_total", Kind.COUNTER, Service.ADAPTERS, "attempts",
        "Attempts to ask a context source that failed, by how.", ("source", "kind"),
    ),
    Metric(
        "tapeline_source_breaker_open", Kind.GAUGE, Service.ADAPTERS, "0 or 1",
        "Whether a context source is not asked for a while, after too many failures.", ("source",),
    ),
    Metric(
        "tapeline_context_held_back", Kind.GAUGE, Service.ADAPTERS, "0 or 1",
        "Whether context waits to be written because the log has no live market or does not answer.",
    ),
)  # fmt: skip

_LLM_BUCKETS = (0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)

LLM = (
    Metric(
        "tapeline_llm_requests_total", Kind.COUNTER, Service.LLM, "requests",
        "Requests answered, by the model asked last (none: nobody was asked) and how: received, or why not.",
        ("model", "outcome"),
    ),
    Metric(
        "tapeline_llm_attempts_total", Kind.COUNTER, Service.LLM, "calls",
        "Calls to providers, retries and repair rounds included.",
    ),
    Metric(
        "tapeline_llm_repairs_total", Kind.COUNTER, Service.LLM, "answers",
        "Answers that were no plan and were sent back once, with another answer to it.",
    ),
    Metric(
        "tapeline_llm_tokens_total", Kind.COUNTER, Service.LLM, "tokens",
        "Tokens: prompt, completion, or unreported (the most that attempts without an answer may be billed for).",
        ("kind",),
    ),
    Metric(
        "tapeline_llm_cost_usd_total", Kind.COUNTER, Service.LLM, "USD",
        "Cost of completions whose price is known, unreported attempts at their most.",
    ),
    Metric(
        "tapeline_llm_cost_unknown_total", Kind.COUNTER, Service.LLM, "requests",
        "Answers of a model whose price is unknown: they count as 0 USD, and only the tokens bind.",
    ),
    Metric(
        "tapeline_llm_latency_seconds", Kind.HISTOGRAM, Service.LLM, "seconds",
        "Time from taking a request up to its answer, all attempts included.", (), _LLM_BUCKETS,
    ),
    Metric(
        "tapeline_llm_budget_left_ratio", Kind.GAUGE, Service.LLM, "ratio",
        "Share of the UTC day's tokens and USD that is not spent; at 0 no model is asked.", ("budget",),
    ),
    Metric(
        "tapeline_llm_configured", Kind.GAUGE, Service.LLM, "0 or 1",
        "Whether a model is set; without one every request is answered that there is none.",
    ),
)  # fmt: skip
