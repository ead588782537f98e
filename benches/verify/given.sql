-- The keys as `baselines keys` wrote them; each service's table is filled from these.
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
