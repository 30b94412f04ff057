-- The place of an exchange in a distributed trace (W3C Trace Context), to join it with spans of other systems.

ALTER TABLE penstock.exchange_facts
    ADD COLUMN IF NOT EXISTS trace_id String COMMENT 'W3C trace id, 32 hex digits',
    ADD COLUMN IF NOT EXISTS span_id String COMMENT 'the span of the tap: what the upstream was told as its parent',
    ADD COLUMN IF NOT EXISTS parent_span_id String COMMENT 'the span of the caller, empty where the trace begins here',
    ADD INDEX IF NOT EXISTS by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
;
CREATE OR REPLACE VIEW penstock.exchanges AS
SELECT
    exchange_id, parent_id, started_at, ended_at, upstream, dialect, api, path, model, requested_model, stream,
    org, team, app, user, service_account, key_id, authenticated,
    status, outcome, reason, finish_reason, killed_by, chunk_count, ttft_ms, duration_ms, request_bytes, response_bytes,
    input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, usage_source,
    cost_usd, lower_bound, policy_version, trace_id, span_id, parent_span_id,
    dictGet('penstock.violation_counts', 'violation_count', tuple(exchange_id)) AS violation_count,
    dictGet('penstock.prompt_texts', 'prompt_text', tuple(exchange_id)) AS prompt_text,
    dictGet('penstock.completion_texts', 'completion_text', tuple(exchange_id)) AS completion_text
FROM penstock.exchange_facts FINAL
;
