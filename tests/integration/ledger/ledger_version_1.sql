-- Rowferry's own tables as releases before the table rowferry_schema made them, with data in each: what migrations begin with.

CREATE TABLE IF NOT EXISTS rowferry_runs (
  id CHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  claim BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE COMMENT 'the order of claims',
  bucket VARCHAR(63) CHARACTER SET ascii NOT NULL,
  object_key VARBINARY(1024) NOT NULL,
  version_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  etag VARCHAR(255) CHARACTER SET ascii NOT NULL,
  uploaded_at DATETIME(6) NOT NULL,
  table_name VARCHAR(64) NOT NULL COMMENT 'empty: the path names no table',
  kind VARCHAR(8) NOT NULL COMMENT 'load or check',
  execution VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status VARCHAR(16) NOT NULL COMMENT 'running, done, refused, gated, superseded, checked or failed',
  stage VARCHAR(16) NOT NULL COMMENT 'the state that the run is in',
  reason TEXT NULL COMMENT 'why it was refused, gated or failed',
  lasting BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'it failed for a reason that starting it again does not cure',
  starts INT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'executions that have had it',
  lease_until DATETIME(6) NOT NULL,
  options JSON NOT NULL,
  dialect JSON NULL,
  records BIGINT UNSIGNED NULL COMMENT 'counted by Plan',
  batches INT UNSIGNED NULL,
  verdict JSON NULL COMMENT 'what Reconcile and the gate decided',
  low_key BIGINT NULL,
  high_key BIGINT NULL,
  turn VARCHAR(8) NULL COMMENT 'waiting for or holding its range of keys',
  report JSON NULL,
  started_at DATETIME(6) NOT NULL,
  claimed_at DATETIME(6) NOT NULL COMMENT 'by the execution that has it',
  finished_at DATETIME(6) NULL,
  KEY execution (execution),
  KEY table_status (table_name, status),
  KEY object_key (bucket, object_key(255))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS rowferry_batches (
  run_id CHAR(32) CHARACTER SET ascii NOT NULL,
  batch INT UNSIGNED NOT NULL,
  records BIGINT UNSIGNED NOT NULL,
  inserted BIGINT UNSIGNED NOT NULL DEFAULT 0,
  updated BIGINT UNSIGNED NOT NULL DEFAULT 0,
  unchanged BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rejected BIGINT UNSIGNED NOT NULL DEFAULT 0,
  withheld BIGINT UNSIGNED NOT NULL DEFAULT 0,
  would_insert BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'of those withheld, for a check',
  would_update BIGINT UNSIGNED NOT NULL DEFAULT 0,
  would_unchanged BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rejects_key VARCHAR(1024) NULL COMMENT 'rejects that this batch found while loading',
  committed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (run_id, batch),
  CONSTRAINT rowferry_batches_run FOREIGN KEY (run_id) REFERENCES rowferry_runs (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS rowferry_jobs (
  id CHAR(29) CHARACTER SET ascii NOT NULL PRIMARY KEY COMMENT 'sorts by time; a backup has its own as its name',
  kind VARCHAR(9) NOT NULL COMMENT 'backup, restore or rehearsal',
  table_names VARCHAR(1024) NOT NULL COMMENT 'that it reads or writes, commas between',
  status VARCHAR(8) NOT NULL COMMENT 'running, done or failed',
  reason TEXT NULL COMMENT 'why it failed',
  result JSON NULL,
  lease_until DATETIME(6) NOT NULL,
  guarded BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'it lives no longer than its session, which has a lock',
  started_at DATETIME(6) NOT NULL,
  finished_at DATETIME(6) NULL,
  KEY status (status)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS rowferry_turns (
  table_name VARCHAR(64) NOT NULL PRIMARY KEY COMMENT 'locked by whoever decides whose turn it is'
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

INSERT INTO rowferry_runs (id, bucket, object_key, version_id, etag, uploaded_at, table_name, kind, execution, status,
  stage, reason, lasting, starts, lease_until, options, dialect, records, batches, verdict, low_key, high_key, turn, report,
  started_at, claimed_at, finished_at) VALUES
  ('00000000000000000000000000000001', 'a-bucket', 'raw/jobs-a.csv', 'v1', 'e1', '2026-11-01 10:00:00.000001', 'jobs',
    'load', 'arn:first', 'done', 'Finished', NULL, FALSE, 1, '2026-11-01 10:20:00',
    '{"chunk_records": 1000, "batch_chunks": 25, "on_conflict": "update", "max_rejected_percent": 100.0}',
    '{"delimiter": ",", "columns": []}', 3, 1,
    '{"gate": "open", "reason": null, "rejected": 1, "prefix": "", "batches": {}, "would": {}, "low_key": 1, "high_key": 2}',
    1, 2, NULL, '{"status": "done"}', '2026-11-01 10:00:01', '2026-11-01 10:00:01', '2026-11-01 10:00:09'),
  ('00000000000000000000000000000002', 'a-bucket', 'raw/jobs-b.csv', 'v1', 'e2', '2026-11-02 10:00:00', 'jobs',
    'load', 'arn:second', 'failed', 'Load', 'DatabaseUnavailable: for an hour', FALSE, 2, '2026-11-02 10:20:00',
    '{"chunk_records": 1000, "batch_chunks": 25, "on_conflict": "update", "max_rejected_percent": 100.0}',
    '{"delimiter": ",", "columns": []}', 5, 2,
    '{"gate": "open", "reason": null, "rejected": 0, "prefix": "", "batches": {}, "would": {}, "low_key": 5, "high_key": 9}',
    5, 9, 'holding', NULL, '2026-11-02 10:00:01', '2026-11-02 11:00:01', '2026-11-02 12:00:09');
INSERT INTO rowferry_batches (run_id, batch, records, inserted, rejected, rejects_key, committed_at) VALUES
  ('00000000000000000000000000000001', 0, 3, 2, 1, 'runs/x/loaded/0', '2026-11-01 10:00:05'),
  ('00000000000000000000000000000002', 0, 3, 3, 0, NULL, '2026-11-02 10:00:05');
INSERT INTO rowferry_jobs (id, kind, table_names, status, result, lease_until, started_at, finished_at) VALUES
  ('20261103T020000000000Z-abcdef', 'backup', 'jobs', 'done', '{"rows": 2}', '2026-11-03 02:10:00', '2026-11-03 02:00:00',
    '2026-11-03 02:00:04');
INSERT INTO rowferry_turns (table_name) VALUES ('jobs');
