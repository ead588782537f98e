// A client of both listeners, written against the types that openapi-typescript makes of the documents. It is
// compiled and not run.
import type { paths as Public } from "./public";
import type { paths as Internal } from "./internal";

type Creation = Public["/keys"]["post"];
type NewKey = Creation["requestBody"]["content"]["application/json"];
type CreatedKey = Creation["responses"][200]["content"]["application/json"];
type Problem = Creation["responses"][409]["content"]["application/problem+json"];
type Keys = Public["/keys"]["get"]["responses"][200]["content"]["application/json"];
type Page = NonNullable<Public["/keys"]["get"]["parameters"]["query"]>;

type Verification = Internal["/verify"]["post"];
type Question = Verification["requestBody"]["content"]["application/json"];
type Answer = Verification["responses"][200]["content"]["application/json"];

async function sent<T>(request: Promise<Response>): Promise<T> {
  const response = await request;
  if (response.ok) {
    return (await response.json()) as T;
  }
  const problem = (await response.json()) as Problem;
  throw new Error(`${problem.status} ${problem.code}: ${problem.error}`);
}

const json = { "content-type": "application/json" };

export function create(base: string, token: string, key: NewKey): Promise<CreatedKey> {
  const headers = { ...json, authorization: `Bearer ${token}` };
  return sent(fetch(`${base}/keys`, { method: "POST", headers, body: JSON.stringify(key) }));
}

export async function namesOfUsedKeys(base: string, token: string): Promise<string[]> {
  const page: Page = { limit: 100 };
  const headers = { authorization: `Bearer ${token}` };
  const list = await sent<Keys>(fetch(`${base}/keys?limit=${page.limit}`, { headers }));
  const next: string | null | undefined = list.next_cursor;
  return list.keys.filter((key) => key.last_used_at !== null).map((key) => key.name).concat(next ?? []);
}

export async function ownerOf(base: string, key: string): Promise<string> {
  const question: Question = { key };
  const body = JSON.stringify(question);
  const answer = await sent<Answer>(fetch(`${base}/verify`, { method: "POST", headers: json, body }));
  // The field `valid` tells which of both it is.
  return answer.valid ? answer.user_id : `nobody: ${answer.code}`;
}

// What the documents do not allow does not compile.

// @ts-expect-error: a key has a name
export const nameless: NewKey = {};
// @ts-expect-error: there is no such field
export const odd: NewKey = { name: "ci", colour: "red" };
// @ts-expect-error: a position is a number
export const late: Question = { key: "", min_position: "7" };

export function ownerOfAny(answer: Answer): string {
  // @ts-expect-error: a key that is not good is nobody's
  return answer.user_id;
}
