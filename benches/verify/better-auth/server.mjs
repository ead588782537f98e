// better-auth's API keys behind one route, with default settings except for the rate limit of a key,
// which would refuse a load test. Usage: `node server.mjs <port>`, or `node server.mjs migrate` to
// create the tables. PG_URL is the URL of the database.
import { createServer } from "node:http";

import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import pg from "pg";

const options = {
  baseURL: "http://127.0.0.1",
  secret: "a secret of the load test, of 32 characters or more",
  database: new pg.Pool({ connectionString: process.env.PG_URL }),
  emailAndPassword: { enabled: true },
  plugins: [apiKey({ rateLimit: { enabled: false } })],
  telemetry: { enabled: false },
};
const auth = betterAuth(options);

async function verify(request, response) {
  if (request.method !== "POST" || request.url !== "/verify") return response.writeHead(404).end();
  let body = "";
  for await (const chunk of request) body += chunk;
  const verdict = await auth.api.verifyApiKey({ body: { key: JSON.parse(body).key } });
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(verdict));
}

if (process.argv[2] === "migrate") {
  await (await getMigrations(options)).runMigrations();
  // One key is created by better-auth itself; keys.sql copies its columns for all others.
  const { user } = await auth.api.signUpEmail({
    body: { name: "Ann", email: "ann@example.com", password: "a long password" },
  });
  await auth.api.createApiKey({ body: { name: "pattern", userId: user.id } });
  await options.database.end();
} else {
  const server = createServer((request, response) => {
    verify(request, response).catch((error) => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  server.listen(Number(process.argv[2]), "127.0.0.1");
}
