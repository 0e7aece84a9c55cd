-- JSON list of the advertisers that a key of a role limited to some may see, as users have it.
ALTER TABLE api_keys ADD COLUMN advertisers TEXT NOT NULL DEFAULT '[]';
