CREATE TABLE api_keys (
    key_id uuid PRIMARY KEY,
    key_hash varchar(64) NOT NULL UNIQUE,
    key_prefix text NOT NULL,
    user_id text NOT NULL,
    user_email text NOT NULL,
    name text NOT NULL,
    revoked boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz
);
INSERT INTO api_keys (key_id, key_hash, key_prefix, user_id, user_email, name, created_at)
SELECT key_id::uuid, key_hash, key_prefix, user_id, user_email, name, created_at::timestamptz
FROM given;
