-- +goose NO TRANSACTION

-- What is recorded here is in events and payloads, whole and once: a row is
-- written after its records, and the highest one is the projector's position.
-- Never partitioned: one insert is one part, so it is there or it is not.

-- +goose Up
CREATE TABLE IF NOT EXISTS batches
(
    shard    UInt16,
    first    UInt64 COMMENT 'index of the first record' CODEC(Delta, ZSTD),
    count    UInt32 COMMENT 'records; the batches of a shard join without a gap',
    lane     LowCardinality(String),
    epoch    UInt64 COMMENT 'writer of the log, counted up',
    seq      UInt64 COMMENT 'sequence of the message in the log stream' CODEC(Delta, ZSTD),
    written  DateTime64(6, 'UTC') COMMENT 'the log writer''s clock' CODEC(Delta, ZSTD),
    size     UInt64 COMMENT 'tree size after this batch' CODEC(Delta, ZSTD),
    root     FixedString(32) COMMENT 'tree root after this batch' CODEC(NONE),
    holder   String COMMENT 'the fence under which it was recorded',
    recorded DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (shard, first)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 0;

-- Who may write. A projector adds a row before it looks at what is there, and
-- every insert of it carries the condition that its row is still the highest:
-- an insert of an earlier holder that arrives late inserts nothing and fails.
CREATE TABLE IF NOT EXISTS fences
(
    shard  UInt16,
    epoch  UInt64,
    holder String,
    taken  DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (shard, epoch, holder)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 0;
