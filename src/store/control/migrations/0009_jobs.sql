-- What is worked on in the background, and what came of it.
CREATE TABLE jobs (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  -- 0 is the platform.
  account     INTEGER NOT NULL REFERENCES accounts (id),
  -- Such as `import`.
  kind        TEXT NOT NULL,
  collection  TEXT NOT NULL,
  -- What was asked for, as JSON: how the job was to be done.
  options     TEXT NOT NULL,
  actor       TEXT NOT NULL,
  request_id  TEXT NOT NULL,
  state       TEXT NOT NULL
    CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
  created_ms  INTEGER NOT NULL,
  finished_ms INTEGER,
  -- What came of it, as JSON.
  outcome     TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_account ON jobs (account, id);
