-- Read models. Plain SQL over the tables; TimescaleDB replaces the *_1h and *_1m views by continuous aggregates (0003).

CREATE VIEW trades AS SELECT * FROM trades_closed;

CREATE VIEW equity AS SELECT * FROM equity_points;

CREATE VIEW verdicts AS
SELECT event_type = 'PlanApproved' AS approved, v.* FROM verdict_events v;

CREATE VIEW verdict_checks AS
SELECT v.ts_event, v.event_id AS verdict_id, v.plan_id, v.account_id, v.instrument_id, v.strategy, v.origin,
       v.event_type = 'PlanApproved' AS approved, c.position::int AS position,
       c.item ->> 'code' AS code, c.item ->> 'result' AS result, c.item ->> 'value' AS value,
       c.item ->> 'limit' AS limit_value, c.item -> 'inputs' AS inputs
FROM verdict_events v
CROSS JOIN LATERAL jsonb_array_elements(v.checks) WITH ORDINALITY AS c (item, position);

-- A plan and what became of it. PROPOSED: shown only; PENDING: no verdict yet; UNFILLED: the entry ended without a fill.
CREATE VIEW plans AS
SELECT p.*,
       CASE WHEN v.event_id IS NULL THEN CASE WHEN p.execute THEN 'PENDING' ELSE 'PROPOSED' END
            WHEN v.event_type = 'PlanDenied' THEN 'DENIED'
            WHEN t.event_id IS NOT NULL THEN 'CLOSED'
            WHEN f.event_id IS NOT NULL THEN 'OPEN'
            WHEN e.event_id IS NOT NULL THEN 'UNFILLED'
            ELSE 'APPROVED' END AS status,
       v.event_id AS verdict_event_id, v.ts_event AS ts_verdict, v.code AS denial_code, v.detail AS denial_detail,
       v.sizing_quantity AS approved_quantity, v.sizing_notional AS approved_notional,
       v.sizing_worst_case_loss AS worst_case_loss, v.sizing_leverage AS leverage,
       e.entry_end, t.trade_id, t.net_pnl, t.r_multiple, t.exit_reason
FROM plan_proposals p
LEFT JOIN LATERAL (SELECT * FROM verdict_events x WHERE x.plan_id = p.plan_id
                   ORDER BY x.log_offset DESC LIMIT 1) v ON true
LEFT JOIN LATERAL (SELECT x.event_id FROM fills x WHERE x.plan_id = p.plan_id AND x.purpose = 'ENTRY'
                   ORDER BY x.log_offset LIMIT 1) f ON true
LEFT JOIN LATERAL (SELECT x.event_id, x.event_end AS entry_end FROM entry_ends x WHERE x.plan_id = p.plan_id
                   ORDER BY x.log_offset DESC LIMIT 1) e ON true
LEFT JOIN LATERAL (SELECT x.event_id, x.trade_id, x.net_pnl, x.r_multiple, x.exit_reason FROM trades_closed x
                   WHERE x.plan_id = p.plan_id ORDER BY x.log_offset DESC LIMIT 1) t ON true;

-- Every order as it is now: its intent, the last change in force, the state its last event left it in.
CREATE VIEW orders AS
SELECT i.ts_event AS ts_intended, s.ts_event AS ts_updated, i.event_id, i.client_order_id, a.venue_order_id, i.plan_id,
       i.account_id, i.instrument_id, i.purpose, i.target_index, i.side, i.position_side, i.type,
       coalesce(m.quantity, i.quantity) AS quantity, i.quantity_unit, coalesce(q.filled_quantity, 0) AS filled_quantity,
       i.limit_price, coalesce(m.trigger_price, i.trigger_price) AS trigger_price, i.trigger_price_type, i.post_only,
       i.reduce_only, i.margin_mode, i.margin_leverage, i.valid_until, i.exit_reason,
       CASE s.event_type WHEN 'OrderIntended' THEN 'INTENDED' WHEN 'OrderSubmitted' THEN 'SUBMITTED'
            WHEN 'OrderAccepted' THEN 'ACCEPTED' WHEN 'OrderRejected' THEN 'REJECTED'
            WHEN 'OrderPartiallyFilled' THEN 'PARTIALLY_FILLED' WHEN 'OrderFilled' THEN 'FILLED'
            WHEN 'OrderCanceled' THEN 'CANCELED' WHEN 'OrderExpired' THEN 'EXPIRED' ELSE 'UNKNOWN' END AS state,
       s.reason, i.log_partition, i.log_offset
FROM order_events i
CROSS JOIN LATERAL (SELECT x.event_type, x.ts_event, x.reason FROM order_events x
                    WHERE x.client_order_id = i.client_order_id
                      AND x.event_type NOT IN ('AmendIntended', 'CancelIntended', 'OrderAmended')
                    ORDER BY x.log_offset DESC LIMIT 1) s
LEFT JOIN LATERAL (SELECT x.venue_order_id FROM order_events x
                   WHERE x.client_order_id = i.client_order_id AND x.event_type = 'OrderAccepted'
                   ORDER BY x.log_offset DESC LIMIT 1) a ON true
LEFT JOIN LATERAL (SELECT x.quantity, x.trigger_price FROM order_events x
                   WHERE x.client_order_id = i.client_order_id AND x.event_type = 'OrderAmended'
                   ORDER BY x.log_offset DESC LIMIT 1) m ON true
LEFT JOIN LATERAL (SELECT x.filled_quantity FROM order_events x
                   WHERE x.client_order_id = i.client_order_id AND x.filled_quantity IS NOT NULL
                   ORDER BY x.log_offset DESC LIMIT 1) q ON true
WHERE i.event_type = 'OrderIntended';

-- The last word on every position that is not flat.
CREATE VIEW open_positions AS
SELECT * FROM (
  SELECT DISTINCT ON (account_id, instrument_id) * FROM position_events
  ORDER BY account_id, instrument_id, log_offset DESC
) p WHERE quantity <> 0;

-- What was wrong with the data, one row per incident.
CREATE VIEW data_quality_incidents AS
SELECT o.ts_event, o.event_id, 'GAP' AS kind, o.instrument_id, o.channel, o.ts_from, c.ts_to, c.missing,
       c.event_id IS NULL AS open, o.detail, 'quality' AS log_topic, o.log_partition, o.log_offset
FROM gaps o
LEFT JOIN LATERAL (SELECT x.event_id, x.ts_to, x.missing FROM gaps x
                   WHERE x.event_type = 'GapClosed' AND x.instrument_id = o.instrument_id AND x.channel = o.channel
                     AND x.ts_from = o.ts_from AND x.log_offset > o.log_offset
                   ORDER BY x.log_offset LIMIT 1) c ON true
WHERE o.event_type = 'GapOpened'
UNION ALL
SELECT ts_event, event_id, 'QUALITY_' || quality, instrument_id, NULL, ts_event, NULL, NULL, NULL,
       previous || ' to ' || quality || coalesce(': ' || (SELECT string_agg(r, ', ') FROM jsonb_array_elements_text(reasons) r), ''),
       'quality', log_partition, log_offset
FROM quality_changes
UNION ALL
SELECT ts_event, event_id, 'TICK_' || reason, instrument_id, channel, ts_event, NULL, NULL, NULL, detail,
       'quality', log_partition, log_offset
FROM quarantined_ticks
UNION ALL
SELECT ts_event, event_id, 'MESSAGE_UNREADABLE', NULL, topic, ts_event, NULL, NULL, NULL, reason,
       'quality', log_partition, log_offset
FROM quarantined_messages
UNION ALL
SELECT ts_event, event_id, 'LINE_UNREADABLE', instrument_id, NULL, ts_event, NULL, NULL, NULL,
       source || ':' || line_number || ': ' || reason, 'ticks', log_partition, log_offset
FROM quarantined_lines
UNION ALL
SELECT ts_event, event_id, 'FEED_' || state, instrument_id, channel, ts_event, NULL, NULL, NULL,
       source || CASE WHEN detail = '' THEN '' ELSE ': ' || detail END, 'ticks', log_partition, log_offset
FROM feed_status WHERE state = 'LOST';

-- The trader's commits that count: under the claim in force where they lie. (Their density is the reader's to check.)
CREATE VIEW commits_in_force AS
SELECT c.* FROM journal_commits c
WHERE c.epoch = (SELECT max(x.log_offset) FROM journal_claims x
                 WHERE x.log_partition = c.log_partition AND x.log_offset < c.log_offset);

-- A bar that closes at 11:00 belongs to the hour from 10:00: hence the microsecond.
CREATE VIEW bars_1h AS
SELECT date_bin('1 hour', ts_event - interval '1 microsecond', '2000-01-01 00:00:00+00') AS bucket, instrument_id,
       (array_agg(open_price ORDER BY ts_event))[1] AS open_price, max(high_price) AS high_price,
       min(low_price) AS low_price, (array_agg(close_price ORDER BY ts_event DESC))[1] AS close_price,
       sum(base_volume) AS base_volume, sum(tick_count) AS tick_count, count(*) AS bars, bool_and(complete) AS complete
FROM bars WHERE timeframe = '1m'
GROUP BY 1, 2;

CREATE VIEW trade_ticks_1m AS
SELECT date_bin('1 minute', ts_event, '2000-01-01 00:00:00+00') AS bucket, instrument_id,
       (array_agg(last_price ORDER BY ts_event, log_offset))[1] AS open_price, max(last_price) AS high_price,
       min(last_price) AS low_price, (array_agg(last_price ORDER BY ts_event DESC, log_offset DESC))[1] AS close_price,
       sum(base_quantity) AS base_volume, count(*) AS tick_count
FROM trade_ticks
GROUP BY 1, 2;

CREATE VIEW equity_1h AS
SELECT date_bin('1 hour', ts_event, '2000-01-01 00:00:00+00') AS bucket, account_id,
       (array_agg(equity ORDER BY ts_event, log_offset))[1] AS open_equity, max(equity) AS high_equity,
       min(equity) AS low_equity, (array_agg(equity ORDER BY ts_event DESC, log_offset DESC))[1] AS close_equity,
       max(drawdown_pct) AS drawdown_pct_max
FROM equity_points
GROUP BY 1, 2;
