-- Inserts the keys of the load test. Each is a copy of the one key that better-auth has created.
CREATE TEMPORARY TABLE pattern AS SELECT to_jsonb(apikey) AS key FROM apikey;
INSERT INTO apikey
SELECT made.*
FROM given, pattern, jsonb_populate_record(NULL::apikey, pattern.key || jsonb_build_object(
    'id', given.key_id,
    'name', given.name,
    'start', left(given.key_prefix, 6),
    -- better-auth stores the SHA-256 in base64url without padding.
    'key', translate(encode(decode(given.key_hash, 'hex'), 'base64'), '+/=', '-_')
)) AS made;
