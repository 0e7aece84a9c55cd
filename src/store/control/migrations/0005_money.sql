-- Money that came to or left an advertiser's wallet by a person's hand, in nanos. Rows are only added.
CREATE TABLE transactions (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  account         INTEGER NOT NULL REFERENCES accounts (id),
  advertiser      INTEGER NOT NULL,
  kind            TEXT NOT NULL CHECK (kind IN ('top_up', 'credit', 'adjustment')),
  amount          INTEGER NOT NULL,
  currency        TEXT NOT NULL,
  note            TEXT NOT NULL,
  actor           TEXT NOT NULL,
  at_ms           INTEGER NOT NULL,
  idempotency_key TEXT
) STRICT;
CREATE INDEX transactions_account ON transactions (account, id);
-- In the order of the ids: a balance is summed in the order in which each step was checked to fit.
CREATE INDEX transactions_advertiser ON transactions (advertiser, id, currency, amount);
CREATE UNIQUE INDEX transactions_key ON transactions (account, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TRIGGER transactions_never_change BEFORE UPDATE ON transactions
BEGIN
  SELECT raise(ABORT, 'a transaction never changes');
END;
CREATE TRIGGER transactions_stay BEFORE DELETE ON transactions
BEGIN
  SELECT raise(ABORT, 'a transaction stays');
END;

-- What others must hear of, written with what caused it.
CREATE TABLE outbox (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  topic      TEXT NOT NULL,
  payload    TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  done_ms    INTEGER,
  attempts   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_pending ON outbox (id) WHERE done_ms IS NULL;
CREATE INDEX outbox_done ON outbox (done_ms) WHERE done_ms IS NOT NULL;
