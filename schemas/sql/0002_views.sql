-- What people and panels read: events, exchanges, and the texts of an exchange.
--
-- FINAL stands in the views because a worker that died between two tables writes some facts again, and because a worker
-- that was believed dead may write rows a second time: the rows are the same, and FINAL shows one of them.
--
-- The texts are dictionaries without a memory of their own (COMPLEX_KEY_DIRECT): a column made by dictGet is computed
-- only where it is selected, so a panel over facts never opens `content`.
-- Verified on the embedded engine. Not verified on a ClickHouse server: there the dictionaries read as the user
-- `default` from localhost; where that user has a password, create them again with USER and PASSWORD in SOURCE.

CREATE VIEW penstock.events AS
SELECT
    topic, partition, offset, frame_index, event_id, exchange_id, kind, seq, origin, occurred_at, appended_at,
    commitment, previous, duplicate_of, tap_id, tap_epoch, frame_number, recorded_at
FROM penstock.events_log FINAL
;
CREATE DICTIONARY penstock.prompt_texts
(
    exchange_id String,
    prompt_text String
)
PRIMARY KEY exchange_id
SOURCE(CLICKHOUSE(QUERY $query$
    WITH
        arrayStringConcat(arrayMap(part -> part.2, arraySort(groupArray((part, body))))) AS whole,
        arrayMap(
            message -> multiIf(
                JSONType(message, 'content') = 'String', JSONExtractString(message, 'content'),
                JSONType(message, 'content') = 'Array', arrayStringConcat(
                    arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(message, 'content')), '\n'
                ),
                ''
            ),
            JSONExtractArrayRaw(whole, 'messages')
        ) AS messages,
        arrayFilter(
            text -> text != '',
            arrayConcat(
                arrayMap(
                    name -> if(JSONType(whole, name) = 'String', JSONExtractString(whole, name), ''),
                    ['system', 'prompt', 'input']
                ),
                arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(whole, 'system')),
                messages
            )
        ) AS texts
    SELECT exchange_id, if(empty(texts), whole, arrayStringConcat(texts, '\n')) AS prompt_text
    FROM penstock.content FINAL
    WHERE {condition} AND topic = 'penstock.traffic.v1' AND kind = 'prompt' AND part > 0 AND NOT duplicate
    GROUP BY exchange_id
$query$))
LAYOUT(COMPLEX_KEY_DIRECT())
;
CREATE DICTIONARY penstock.completion_texts
(
    exchange_id     String,
    completion_text String
)
PRIMARY KEY exchange_id
SOURCE(CLICKHOUSE(QUERY $query$
    WITH
        arraySort(groupArray((seq, body))) AS chunks,
        arrayStringConcat(arrayMap(chunk -> chunk.2, chunks)) AS whole,
        arrayMap(
            chunk -> arrayStringConcat(extractAll(chunk.2, '(?:^|[\\r\\n])data:[ ]?([^\\r\\n]*)'), '\n'), chunks
        ) AS payloads,
        arrayStringConcat(arrayMap(
            choice -> choice.2,
            arraySort(choice -> choice.1, arrayMap(
                payload -> (
                    JSONExtractInt(payload, 'choices', 1, 'index'),
                    multiIf(
                        JSONType(payload, 'choices', 1, 'delta', 'content') = 'String',
                        JSONExtractString(payload, 'choices', 1, 'delta', 'content'),
                        JSONType(payload, 'choices', 1, 'text') = 'String',
                        JSONExtractString(payload, 'choices', 1, 'text'),
                        JSONType(payload, 'delta', 'text') = 'String',
                        JSONExtractString(payload, 'delta', 'text'),
                        ''
                    )
                ),
                payloads
            ))
        )) AS streamed,
        arrayStringConcat(arrayConcat(
            arrayMap(
                choice -> multiIf(
                    JSONType(choice, 'message', 'content') = 'String', JSONExtractString(choice, 'message', 'content'),
                    JSONType(choice, 'text') = 'String', JSONExtractString(choice, 'text'),
                    ''
                ),
                JSONExtractArrayRaw(whole, 'choices')
            ),
            arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(whole, 'content'))
        )) AS answered
    SELECT exchange_id, if(startsWith(trimLeft(whole), '{'), answered, streamed) AS completion_text
    FROM penstock.content FINAL
    WHERE {condition} AND topic = 'penstock.traffic.v1' AND kind = 'chunk' AND origin = 'upstream' AND NOT duplicate
    GROUP BY exchange_id
$query$))
LAYOUT(COMPLEX_KEY_DIRECT())
;
CREATE DICTIONARY penstock.violation_counts
(
    exchange_id     String,
    violation_count UInt64
)
PRIMARY KEY exchange_id
SOURCE(CLICKHOUSE(QUERY $query$
    SELECT exchange_id, uniqExact(violation_id) AS violation_count
    FROM penstock.violations
    WHERE {condition}
    GROUP BY exchange_id
$query$))
LAYOUT(COMPLEX_KEY_DIRECT())
;
CREATE VIEW penstock.exchanges AS
SELECT
    exchange_id, parent_id, started_at, ended_at, upstream, dialect, api, path, model, requested_model, stream,
    org, team, app, user, service_account, key_id, authenticated,
    status, outcome, reason, finish_reason, killed_by, chunk_count, ttft_ms, duration_ms, request_bytes, response_bytes,
    input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, usage_source,
    cost_usd, lower_bound, policy_version,
    dictGet('penstock.violation_counts', 'violation_count', tuple(exchange_id)) AS violation_count,
    dictGet('penstock.prompt_texts', 'prompt_text', tuple(exchange_id)) AS prompt_text,
    dictGet('penstock.completion_texts', 'completion_text', tuple(exchange_id)) AS completion_text
FROM penstock.exchange_facts FINAL
;
