-- +goose NO TRANSACTION

-- The sealed personal parts of a person stand together, because those that say
-- the same are the same bytes: compressed, each is there about once. Sorted by
-- index they cost three times as much.

-- +goose Up
CREATE TABLE IF NOT EXISTS payloads
(
    shard       UInt16,
    `index`     UInt64 CODEC(Delta, T64, ZSTD),
    tenant      LowCardinality(String),
    subject_ref FixedString(16) COMMENT 'of the record; zero: none',
    received    DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    sealed      String COMMENT 'packed and AES-SIV, opened through the keyring only' CODEC(ZSTD),

    -- What is above an index, after a restart, without reading all rows.
    INDEX by_index `index` TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received)
ORDER BY (tenant, subject_ref, `index`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
    default_compression_codec = 'ZSTD(1)', merge_selector_base = 12;
