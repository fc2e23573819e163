CREATE VIEW events AS
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM trade_ticks
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM quotes
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM book_tops
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM mark_prices
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM index_prices
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM funding_rates
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM venue_bars
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM instruments
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM feed_status
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'ticks' AS log_topic, log_partition, log_offset FROM quarantined_lines
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'quality' AS log_topic, log_partition, log_offset FROM quality_changes
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'quality' AS log_topic, log_partition, log_offset FROM gaps
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'quality' AS log_topic, log_partition, log_offset FROM quarantined_ticks
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'quality' AS log_topic, log_partition, log_offset FROM quarantined_messages
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'bars' AS log_topic, log_partition, log_offset FROM bars
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'features' AS log_topic, log_partition, log_offset FROM features
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'signals' AS log_topic, log_partition, log_offset FROM signals
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'regimes' AS log_topic, log_partition, log_offset FROM regimes
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'commands' AS log_topic, log_partition, log_offset FROM commands
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'verdicts' AS log_topic, log_partition, log_offset FROM command_results
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'settings' AS log_topic, log_partition, log_offset FROM settings
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'context' AS log_topic, log_partition, log_offset FROM news
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'context' AS log_topic, log_partition, log_offset FROM trends
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'context' AS log_topic, log_partition, log_offset FROM onchain_metrics
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'context' AS log_topic, log_partition, log_offset FROM source_status
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'prompts' AS log_topic, log_partition, log_offset FROM prompts
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'completions' AS log_topic, log_partition, log_offset FROM completion_claims
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'completions' AS log_topic, log_partition, log_offset FROM completion_attempts
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'completions' AS log_topic, log_partition, log_offset FROM completions
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'plans' AS log_topic, log_partition, log_offset FROM plan_proposals
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'plans' AS log_topic, log_partition, log_offset FROM plan_declines
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'verdicts' AS log_topic, log_partition, log_offset FROM verdict_events
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'verdicts' AS log_topic, log_partition, log_offset FROM reductions
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'verdicts' AS log_topic, log_partition, log_offset FROM trading_states
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'verdicts' AS log_topic, log_partition, log_offset FROM drawdown_warnings
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'verdicts' AS log_topic, log_partition, log_offset FROM limit_overrides
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'orders' AS log_topic, log_partition, log_offset FROM order_events
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'orders' AS log_topic, log_partition, log_offset FROM entry_ends
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'orders' AS log_topic, log_partition, log_offset FROM protection_events
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM venue_reports
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'verdicts' AS log_topic, log_partition, log_offset FROM reconciliations
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM venue_transfers
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM venue_charges
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM differences_found
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM gateway_claims
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM venue_funding
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM venue_liquidations
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'reports' AS log_topic, log_partition, log_offset FROM account_snapshots
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'fills' AS log_topic, log_partition, log_offset FROM fills
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'accounts' AS log_topic, log_partition, log_offset FROM cash_flows
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'accounts' AS log_topic, log_partition, log_offset FROM equity_points
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'accounts' AS log_topic, log_partition, log_offset FROM position_events
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'accounts' AS log_topic, log_partition, log_offset FROM funding_payments
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'accounts' AS log_topic, log_partition, log_offset FROM charges
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'accounts' AS log_topic, log_partition, log_offset FROM trades_closed
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'accounts' AS log_topic, log_partition, log_offset FROM missed_entries
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'journal' AS log_topic, log_partition, log_offset FROM journal_claims
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'journal' AS log_topic, log_partition, log_offset FROM journal_commits
UNION ALL
SELECT event_type, event_id, correlation_id, causation_id, stage, step, ordinal, seq, ts_event, ts_ingest, settings_digest, 'checkpoints' AS log_topic, log_partition, log_offset FROM checkpoints;
