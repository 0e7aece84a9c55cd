-- People. No account: of the platform.
CREATE TABLE users (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  account       INTEGER REFERENCES accounts (id),
  email         TEXT NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  role          TEXT NOT NULL,
  -- JSON list of the advertisers that a role limited to some may see.
  advertisers   TEXT NOT NULL,
  password_hash TEXT,
  totp_secret   BLOB,
  status        TEXT NOT NULL CHECK (status IN ('invited', 'active', 'disabled')),
  version       INTEGER NOT NULL,
  created_ms    INTEGER NOT NULL,
  updated_ms    INTEGER NOT NULL,
  last_login_ms INTEGER
) STRICT;
CREATE INDEX users_account ON users (account);

-- Keys of programs. The secret itself is nowhere.
CREATE TABLE api_keys (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  account      INTEGER REFERENCES accounts (id),
  name         TEXT NOT NULL,
  prefix       TEXT NOT NULL,
  last4        TEXT NOT NULL,
  hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  role         TEXT NOT NULL,
  -- JSON lists.
  scopes       TEXT NOT NULL,
  addresses    TEXT NOT NULL,
  expires_ms   INTEGER,
  revoked_ms   INTEGER,
  replaces     INTEGER REFERENCES api_keys (id),
  created_ms   INTEGER NOT NULL,
  last_used_ms INTEGER
) STRICT;
CREATE INDEX api_keys_account ON api_keys (account);
CREATE INDEX api_keys_replaces ON api_keys (replaces);

CREATE TABLE sessions (
  token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
  user       INTEGER NOT NULL REFERENCES users (id),
  csrf_hash  BLOB NOT NULL CHECK (length(csrf_hash) = 32),
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  seen_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX sessions_expires ON sessions (expires_ms);
