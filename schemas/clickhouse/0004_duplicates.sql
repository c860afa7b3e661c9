-- +goose NO TRANSACTION

-- The intake drops a duplicate that it remembers. One that comes later is in
-- the log, and so in events; here it is marked as what it is. Nothing is taken
-- away: the proof of a record covers its duplicates too.

-- +goose Up
CREATE TABLE IF NOT EXISTS duplicates
(
    shard   UInt16,
    `index` UInt64 COMMENT 'of the duplicate',
    first   UInt64 COMMENT 'index of the first event with the same tenant, source and id',
    content LowCardinality(String) COMMENT 'same, different, or unknown: of what the publisher said in both',
    found   DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (shard, `index`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 0;

-- Which indices were searched: all below the highest.
CREATE TABLE IF NOT EXISTS searches
(
    shard  UInt16,
    below  UInt64,
    found  UInt64 COMMENT 'duplicates',
    ended  DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (shard, below)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 0;
