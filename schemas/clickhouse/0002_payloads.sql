-- +goose NO TRANSACTION

-- The sealed personal part of an event, apart from its record so that it can
-- be dropped earlier: the record keeps its SHA-256, and every proof verifies
-- without it. Ciphertext does not compress, but its lengths do: without a codec
-- they would be 8 bytes a row.

-- +goose Up
CREATE TABLE IF NOT EXISTS payloads
(
    shard    UInt16,
    `index`  UInt64 CODEC(Delta, T64, ZSTD),
    tenant   LowCardinality(String),
    received DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    sealed   String COMMENT 'AES-256-GCM, opened through the keyring only' CODEC(LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received)
ORDER BY (shard, `index`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0,
    merge_selector_base = 12;
