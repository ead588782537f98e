-- The Merkle tree over all events. A rebuild of the key table does not touch it: what was signed of it
-- must stay true.

-- How far the tree has come in the journal, and what it is: the roots of its complete subtrees, the
-- largest first, 32 bytes each.
CREATE TABLE tree (
    name     text   PRIMARY KEY,
    position bigint NOT NULL,
    size     bigint NOT NULL,
    frontier bytea  NOT NULL
);

INSERT INTO tree (name, position, size, frontier) VALUES ('events', 0, 0, '');

-- Its hashes in tiles of 256 (C2SP tlog-tiles). The last tile of a level may have fewer.
CREATE TABLE tree_tile (
    level  smallint NOT NULL,
    number bigint   NOT NULL,
    hashes bytea    NOT NULL,
    PRIMARY KEY (level, number)
);

-- The ids of the events, 16 bytes each, in the order of the leaves: 256 in a row, as in a tile. There is
-- no index on them: ids are random, so it would cost each append more than all the rest.
CREATE TABLE tree_event (
    number bigint PRIMARY KEY,
    ids    bytea  NOT NULL
) WITH (toast_tuple_target = 8160);

-- What was signed, or was about to be: no size ever has two roots. Times are microseconds since 1970.
CREATE TABLE tree_checkpoint (
    size      bigint PRIMARY KEY,
    root      bytea  NOT NULL,
    note      text,
    signed_at bigint
);
