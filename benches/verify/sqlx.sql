CREATE TABLE keys (
    key_hash bytea PRIMARY KEY,
    key_id uuid NOT NULL,
    user_id text NOT NULL,
    user_email text,
    name text NOT NULL,
    -- Microseconds since 1970, as in keyledger's own tables.
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint
);
INSERT INTO keys
SELECT decode(key_hash, 'hex'), key_id::uuid, user_id, user_email, name,
    (extract(epoch FROM created_at::timestamptz) * 1000000)::bigint
FROM given;
