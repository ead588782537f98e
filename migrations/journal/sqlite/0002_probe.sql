-- One row that is written again to learn whether the disk takes appends. It is no part of the history.
CREATE TABLE probe (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    filler   BLOB    NOT NULL
) STRICT;
