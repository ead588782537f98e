-- Whether key_hash is an HMAC-SHA-256 under a secret of the service that the key was imported from; else it is a
-- SHA-256.
ALTER TABLE keys ADD COLUMN is_hmac INTEGER NOT NULL DEFAULT 0;
