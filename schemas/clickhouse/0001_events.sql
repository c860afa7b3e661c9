-- +goose NO TRANSACTION

-- The long-lived skeleton: one row a record, no personal data. A row holds
-- everything that the record's encoding holds, so that the encoding, and the
-- Merkle leaf over it, can be rebuilt from the row byte for byte. Plain
-- MergeTree: a second row with the same index stays visible as what it is.
-- No column is ever updated and no row deleted; retention drops partitions.
-- Merging costs the server more than inserting: a merge waits for twelve times
-- its largest part where the default is five, so that a row is merged less often.

-- +goose Up
CREATE TABLE IF NOT EXISTS events
(
    shard            UInt16 COMMENT 'log that the record is in',
    `index`          UInt64 COMMENT 'place in that log, from 0 without holes' CODEC(Delta, T64, ZSTD),
    tenant           LowCardinality(String),
    subject_ref      FixedString(16) COMMENT 'random reference to (tenant, issuer, sub); zero: none, or forgotten before the event',
    time             DateTime64(6, 'UTC') COMMENT 'the publisher''s clock' CODEC(Delta, T64, ZSTD),
    received         DateTime64(6, 'UTC') COMMENT 'the intake''s clock' CODEC(Delta, ZSTD),
    version          UInt8 COMMENT 'of the record''s encoding',
    environment      LowCardinality(String),
    type             LowCardinality(String) COMMENT 'CloudEvents type',
    source           LowCardinality(String) COMMENT 'CloudEvents source',
    id               String COMMENT 'CloudEvents id, unique within (tenant, source)',
    issuer           LowCardinality(String),
    token_ref        FixedString(16) COMMENT 'keyed hash of (iss, jti); zero: none',
    session_ref      FixedString(16) COMMENT 'keyed hash of (iss, sid); zero: none',
    grant_ref        FixedString(16) COMMENT 'keyed hash of (iss, grant_id); zero: none',
    client           LowCardinality(String),
    kid              LowCardinality(String),
    alg              LowCardinality(String),
    aud              Array(LowCardinality(String)),
    scope            LowCardinality(String),
    iat              DateTime64(3, 'UTC') COMMENT '1970: absent' CODEC(GCD, ZSTD),
    exp              DateTime64(3, 'UTC') COMMENT '1970: absent' CODEC(GCD, ZSTD),
    nbf              DateTime64(3, 'UTC') COMMENT '1970: absent' CODEC(GCD, ZSTD),
    actor            LowCardinality(String) COMMENT 'principal who did it',
    outcome          LowCardinality(String),
    reason           LowCardinality(String),
    attributes       Map(LowCardinality(String), String),
    view             UInt64 COMMENT 'revocation position that the verifier had applied' CODEC(Delta, ZSTD),
    payload_hash     FixedString(32) COMMENT 'SHA-256 of the sealed personal part; zero: none' CODEC(ZSTD), -- a person's repeat with their parts
    data_key         UInt32 COMMENT 'generation of the key that sealed it',
    claims           Array(LowCardinality(String)) COMMENT 'names of the personal claims',
    consent          String,
    purposes         Array(LowCardinality(String)),
    ticket           String,
    revokes          Bool COMMENT 'whether the revoked_ columns mean something',
    revoked_scope    LowCardinality(String),
    revoked_hash     FixedString(16) COMMENT 'keyed hash of scope and identifiers under the feed key',
    revoked_before   DateTime64(3, 'UTC') COMMENT 'cut-off; 1970: revokes whatever iat says',
    revoked_expires  DateTime64(3, 'UTC'),
    revoked_feed_key UInt32 COMMENT 'generation of the feed key',
    lifts            FixedString(16) COMMENT 'event reference of the revocation that this one lifts; zero: none',
    lifts_index      UInt64 COMMENT 'its index in this log' CODEC(Delta, ZSTD),
    revoked_starts   DateTime64(3, 'UTC') COMMENT 'without effect before; 1970: at once' CODEC(GCD, ZSTD),
    revoked_until    DateTime64(3, 'UTC') COMMENT 'not_after of a suspension; 1970: none' CODEC(GCD, ZSTD),

    -- Rare types, tokens and sessions without reading the rest: the rows of a
    -- token stand with their subject, so few granules hold any. One index and
    -- not three, because an insert syncs each one's files. About 1 MB a million
    -- rows; a projection a reference was 8 each and twice the work of an insert.
    INDEX by_ref (type, token_ref, session_ref) TYPE bloom_filter(0.001) GRANULARITY 1,

    -- Offsets only, about 5 MB a million rows; a full copy would be twice the
    -- table for a lookup that is 13 ms faster.
    PROJECTION by_index (SELECT _part_offset ORDER BY shard, `index`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received)
ORDER BY (tenant, subject_ref, time, `index`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    default_compression_codec = 'ZSTD(1)', non_replicated_deduplication_window = 0,
    merge_selector_base = 12;
