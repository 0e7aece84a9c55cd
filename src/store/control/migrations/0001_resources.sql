-- Tenants. Account 0 is the platform itself: what belongs to nobody in particular hangs there.
CREATE TABLE accounts (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('draft', 'active', 'paused', 'archived')),
  version    INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  doc        TEXT NOT NULL
) STRICT;
INSERT INTO accounts VALUES (0, 'platform', 'active', 1, 0, 0, '{}');

-- What people configure, one row each; what a kind has of its own is in `doc`.
CREATE TABLE resource (
  kind        TEXT NOT NULL,
  id          INTEGER NOT NULL CHECK (id BETWEEN 1 AND 4294967295),
  account     INTEGER NOT NULL REFERENCES accounts (id),
  parent      INTEGER,
  name        TEXT NOT NULL,
  -- The name as it is searched and sorted: lower case of every script, which SQLite's own functions do not give.
  folded      TEXT NOT NULL,
  external_id TEXT,
  status      TEXT NOT NULL CHECK (status IN ('draft', 'active', 'paused', 'archived')),
  version     INTEGER NOT NULL CHECK (version >= 1),
  created_ms  INTEGER NOT NULL,
  updated_ms  INTEGER NOT NULL,
  doc         TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX resource_created ON resource (kind, account, created_ms, id);
CREATE INDEX resource_updated ON resource (kind, account, updated_ms, id);
CREATE INDEX resource_status ON resource (kind, account, status, created_ms, id);
-- An id has one account, so that a parent needs none beside it.
CREATE INDEX resource_parent ON resource (kind, parent, created_ms, id);
-- Everything but the document: a search reads this index from end to end and no row of the table.
CREATE INDEX resource_name ON resource
  (kind, account, folded, id, status, parent, external_id, created_ms, updated_ms);
CREATE UNIQUE INDEX resource_external ON resource (kind, external_id, account) WHERE external_id IS NOT NULL;

-- The last id of each kind that was given out, so that none is given twice.
CREATE TABLE resource_id (
  kind TEXT PRIMARY KEY,
  last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many write transactions changed what serves.
CREATE TABLE generation (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  value INTEGER NOT NULL
) STRICT;
INSERT INTO generation VALUES (1, 0);
