-- The Merkle tree over all events. A rebuild of the key table does not touch it: what was signed of it
-- must stay true.

-- How far the tree has come in the journal, and what it is: the roots of its complete subtrees, the
-- largest first, 32 bytes each.
CREATE TABLE tree (
    name     TEXT    PRIMARY KEY,
    position INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    frontier BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO tree (name, position, size, frontier) VALUES ('events', 0, 0, x'');

-- Its hashes in tiles of 256 (C2SP tlog-tiles). The last tile of a level may have fewer.
CREATE TABLE tree_tile (
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (level, number)
) STRICT;

-- The ids of the events, 16 bytes each, in the order of the leaves: 256 in a row, as in a tile. There is
-- no index on them: ids are random, so it would cost each append more than all the rest.
CREATE TABLE tree_event (
    number INTEGER PRIMARY KEY,
    ids    BLOB    NOT NULL
) STRICT;

-- What was signed, or was about to be: no size ever has two roots. Times are microseconds since 1970.
CREATE TABLE tree_checkpoint (
    size      INTEGER PRIMARY KEY,
    root      BLOB    NOT NULL,
    note      TEXT,
    signed_at INTEGER
) STRICT;
