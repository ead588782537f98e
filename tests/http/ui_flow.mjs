// The flow of the UI, with `fetch`, which browsers have too. Run by `cli/running.rs`.
import assert from "node:assert/strict";

const [base, token] = process.argv.slice(2);

async function ask(method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: {
      cookie: `auth_token=${token}`,
      ...(body && { "content-type": "application/json" }),
    },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, ...(await response.json()) };
}

assert.deepEqual(await ask("GET", "/keys"), { status: 200, success: true, keys: [] });

const created = await ask("POST", "/keys", { name: "my key" });
assert.equal(created.status, 200);
assert.equal(created.success, true);
assert.match(created.api_key, /^orag_[0-9A-Za-z]{49}$/);
assert.ok(created.api_key.startsWith(created.key_prefix));
assert.ok(!Number.isNaN(Date.parse(created.created_at)));

const shown = {
  key_id: created.key_id,
  key_prefix: created.key_prefix,
  name: "my key",
  created_at: created.created_at,
  last_used_at: null,
  revoked: false,
};
assert.deepEqual((await ask("GET", "/keys")).keys, [shown]);

assert.deepEqual(await ask("DELETE", `/keys/${created.key_id}`), { status: 200, success: true });
assert.deepEqual((await ask("GET", "/keys")).keys, [{ ...shown, revoked: true }]);

const gone = `/keys/${created.key_id}/permanent`;
assert.deepEqual(await ask("DELETE", gone), { status: 200, success: true });
assert.deepEqual((await ask("GET", "/keys")).keys, []);

const again = await ask("DELETE", gone);
assert.deepEqual(
  [again.status, again.success, again.error],
  [404, false, "Key not found"],
);
const nameless = await ask("POST", "/keys", {});
assert.deepEqual(
  [nameless.status, nameless.success, nameless.error],
  [400, false, "Name is required"],
);
console.log("ok");
