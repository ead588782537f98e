-- What belongs to this journal and to no other. It is no part of the history.
CREATE TABLE installation (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    secret   BLOB    NOT NULL
) STRICT;
