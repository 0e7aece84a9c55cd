-- A second factor that its owner has not confirmed yet, and the last time step of which a code was taken.
ALTER TABLE users ADD COLUMN totp_pending BLOB;
ALTER TABLE users ADD COLUMN totp_step INTEGER;

-- What lets a user choose the first password; one at most for each.
CREATE TABLE invites (
  token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
  user       INTEGER NOT NULL UNIQUE REFERENCES users (id),
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
