-- What was asked under a client's key, and the answer.
CREATE TABLE idempotency (
  scope        TEXT NOT NULL,
  key          TEXT NOT NULL,
  request_hash BLOB NOT NULL CHECK (length(request_hash) = 32),
  -- Both NULL while the request is being worked on.
  status       INTEGER,
  body         BLOB,
  created_ms   INTEGER NOT NULL,
  PRIMARY KEY (scope, key),
  CHECK ((status IS NULL) = (body IS NULL))
) STRICT;
CREATE INDEX idempotency_created ON idempotency (created_ms);
