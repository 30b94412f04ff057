-- The trail: one row per event (events_log), its bytes (content), facts per exchange, and the sealed leaves.
-- Statements are separated by a line that holds a semicolon alone.

CREATE TABLE penstock.events_log
(
    topic        LowCardinality(String),
    partition    UInt32,
    offset       UInt64,
    frame_index  UInt32,
    event_id     String,
    exchange_id  String,
    kind         LowCardinality(String) COMMENT 'prompt, chunk, completion, tap, dead_letter, tombstone, or the record type',
    seq          UInt32,
    origin       LowCardinality(String),
    occurred_at  DateTime64(6, 'UTC'),
    appended_at  DateTime64(3, 'UTC')   COMMENT 'Kafka append time of the record',
    commitment   FixedString(32),
    previous     FixedString(32)        COMMENT 'commitment of the row before it in the same topic and partition',
    duplicate_of String                 COMMENT 'topic/partition/offset/index of the first copy, or empty',
    tap_id       LowCardinality(String),
    tap_epoch    UInt64,
    frame_number UInt64,
    recorded_at  DateTime64(6, 'UTC')   COMMENT 'not part of the leaf',
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_exchange exchange_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset, frame_index)
;
CREATE TABLE penstock.content
(
    exchange_id String,
    seq         UInt32,
    event_id    String,
    topic       LowCardinality(String),
    partition   UInt32,
    offset      UInt64,
    frame_index UInt32,
    kind        LowCardinality(String),
    origin      LowCardinality(String),
    part        UInt32,
    withheld    Bool,
    redacted    String,
    duplicate   Bool,
    subject     String                 COMMENT 'who: the charged scope that the event names',
    attributes  String                 COMMENT 'what the commitment covers beside subject and body',
    body        String CODEC(ZSTD(1)),
    salt        String,
    occurred_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (exchange_id, seq, event_id, topic, partition, offset, frame_index)
;
CREATE TABLE penstock.exchange_facts
(
    exchange_id      String,
    parent_id        String,
    started_at       DateTime64(6, 'UTC'),
    ended_at         DateTime64(6, 'UTC'),
    upstream         LowCardinality(String),
    dialect          LowCardinality(String),
    api              LowCardinality(String),
    path             String,
    model            LowCardinality(String),
    requested_model  LowCardinality(String),
    stream           Bool,
    org              LowCardinality(String),
    team             LowCardinality(String),
    app              LowCardinality(String),
    user             String,
    service_account  String,
    key_id           String,
    authenticated    Bool,
    status           UInt16,
    outcome          LowCardinality(String),
    reason           String,
    finish_reason    LowCardinality(String),
    killed_by        String                  COMMENT 'scope of the order that ended it, or empty',
    chunk_count      UInt32,
    ttft_ms          Nullable(Float64),
    duration_ms      Float64,
    request_bytes    UInt64,
    response_bytes   UInt64,
    input_tokens     UInt64,
    output_tokens    UInt64,
    cached_tokens    UInt64,
    cache_write_tokens UInt64,
    reasoning_tokens UInt64,
    usage_source     LowCardinality(String)  COMMENT 'reported, counted, estimated or none: the weaker of both sides',
    cost_usd         Nullable(Decimal(38, 12)),
    lower_bound      Bool,
    policy_version   LowCardinality(String),
    INDEX by_exchange exchange_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (org, team, started_at, exchange_id)
;
CREATE TABLE penstock.attribution
(
    exchange_id        String,
    at                 DateTime64(6, 'UTC'),
    org                LowCardinality(String),
    team               LowCardinality(String),
    key_id             String,
    model              LowCardinality(String),
    input_tokens       UInt64,
    input_source       LowCardinality(String),
    input_method       LowCardinality(String),
    output_tokens      UInt64,
    output_source      LowCardinality(String),
    output_method      LowCardinality(String),
    cached_tokens      UInt64,
    cache_write_tokens UInt64,
    reasoning_tokens   UInt64,
    counted_output_tokens Nullable(UInt64),
    usage_raw          String                COMMENT 'the provider''s usage objects, JSON',
    cost_usd           Nullable(Decimal(38, 12)),
    price_source       LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY exchange_id
;
CREATE TABLE penstock.kills
(
    exchange_id      String,
    scope            String,
    limit_id         LowCardinality(String),
    reason           String,
    decided_at       DateTime64(6, 'UTC'),
    received_at      DateTime64(6, 'UTC'),
    applied_at       DateTime64(6, 'UTC'),
    crossed_at       Nullable(DateTime64(6, 'UTC')),
    cut_ms           Nullable(Float64),
    overshoot_tokens Int64
)
ENGINE = ReplacingMergeTree
ORDER BY (exchange_id, scope)
;
CREATE TABLE penstock.violations
(
    violation_id     String,
    exchange_id      String,
    kind             LowCardinality(String),
    detector         LowCardinality(String),
    detector_version LowCardinality(String),
    severity         LowCardinality(String),
    score            Float64,
    where            String,
    span             Tuple(start UInt64, end UInt64),
    excerpt_redacted String,
    action           LowCardinality(String),
    policy_version   LowCardinality(String),
    frameworks       Array(String),
    at               DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (exchange_id, violation_id)
;
CREATE TABLE penstock.coverage
(
    exchange_id      String,
    detector         LowCardinality(String),
    detector_version LowCardinality(String),
    segment          String,
    bytes_seen       UInt64,
    verdict          LowCardinality(String),
    reason           LowCardinality(String),
    policy_version   LowCardinality(String),
    at               DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (exchange_id, detector, segment)
;
CREATE TABLE penstock.audit
(
    event_id    String,
    act         LowCardinality(String),
    subject     String,
    actor       String,
    reason      String,
    exchange_id String,
    at          DateTime64(6, 'UTC'),
    details     String
)
ENGINE = ReplacingMergeTree
ORDER BY (at, event_id)
;
CREATE TABLE penstock.leaves
(
    leaf_index  UInt64,
    topic       LowCardinality(String),
    partition   UInt32,
    offset      UInt64,
    frame_index UInt32,
    leaf_hash   FixedString(32),
    sealer      UInt64 COMMENT 'when its sealer took office, in µs: of two leaves with one number the later sealer''s stands'
)
ENGINE = ReplacingMergeTree(sealer)
ORDER BY leaf_index
;
CREATE TABLE penstock.checkpoints
(
    size      UInt64,
    root      FixedString(32),
    signed_at DateTime64(6, 'UTC'),
    note      String
)
ENGINE = ReplacingMergeTree
ORDER BY (size, signed_at)
;
