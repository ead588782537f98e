-- The keys that `baselines keys` has written. The table of each service is filled from this one.
CREATE TABLE given (
    key_id text,
    key_hash text,
    key_prefix text,
    user_id text,
    user_email text,
    name text,
    created_at text
);
\copy given FROM pstdin WITH (FORMAT csv)
