-- Who changed what, for ever: rows are only added, and removed only from the old end by the retention operation.
CREATE TABLE audit (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms         INTEGER NOT NULL,
  account       INTEGER NOT NULL,
  actor_kind    TEXT NOT NULL,
  actor         INTEGER,
  actor_name    TEXT NOT NULL,
  source        TEXT NOT NULL,
  request_id    TEXT,
  action        TEXT NOT NULL,
  kind          TEXT NOT NULL,
  resource      INTEGER,
  version_after INTEGER,
  -- JSON of the members that differ.
  before        TEXT NOT NULL,
  after         TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at_ms, id);
CREATE INDEX audit_account ON audit (account, at_ms, id);
CREATE INDEX audit_resource ON audit (kind, resource, at_ms, id);
CREATE INDEX audit_actor ON audit (actor_kind, actor, at_ms, id);

-- Entries older than this may be removed; the operation that removes them says so here first.
CREATE TABLE audit_retention (
  one       INTEGER PRIMARY KEY CHECK (one = 1),
  before_ms INTEGER NOT NULL
) STRICT;
INSERT INTO audit_retention VALUES (1, -9223372036854775808);

CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN
  SELECT raise(ABORT, 'an audit entry never changes');
END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
WHEN old.at_ms >= (SELECT before_ms FROM audit_retention)
BEGIN
  SELECT raise(ABORT, 'an audit entry stays until its retention is over');
END;
