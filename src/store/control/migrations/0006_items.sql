-- What stands on a list: the resource of kind list with this id.
CREATE TABLE list_items (
  list  INTEGER NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (list, value)
) STRICT, WITHOUT ROWID;
