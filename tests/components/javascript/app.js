// A function as ComponentizeJS makes them from a `fetch` listener (wasi:http@0.2): it echoes, and asks PostgreSQL.

import { Connection } from "spin:postgres/postgres@3.0.0";
import { get } from "wasi:config/store@0.2.0-draft-2024-09-27";

const answer = (status, value) =>
  new Response(JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json" },
  });

// A server that the manifest doesn't allow.
const ELSEWHERE = "postgres://nobody@127.0.0.1:1/nothing";

const rows = (statement, ...texts) =>
  rowsAt(get("database_url"), statement, ...texts);

function rowsAt(address, statement, ...texts) {
  const connection = Connection.open(address);
  const parameters = texts.map((val) => ({ tag: "str", val }));
  const found = connection.query(statement, parameters);
  return found.rows.map((row) =>
    Object.fromEntries(
      found.columns.map(({ name }, at) => [name, row[at].val ?? null]),
    ),
  );
}

function respond(request) {
  const url = new URL(request.url);
  const code = url.searchParams.get("code");
  switch (url.pathname.split("/").at(-1)) {
    case "hello":
      return answer(200, "hello from JavaScript");
    case "echo":
      return new Response(request.body);
    case "lot":
      return answer(
        200,
        rows(
          "SELECT code, kg, NULL AS note FROM foreign_lots WHERE code = $1",
          code,
        ),
      );
    case "fail":
      return answer(
        200,
        rows("INSERT INTO foreign_lots (code) VALUES ($1)", code),
      );
    case "elsewhere":
      return answer(200, rowsAt(ELSEWHERE, "SELECT 1"));
    case "crash":
      throw new Error("as it was asked to");
    default:
      return answer(404, `there is no ${url.pathname}`);
  }
}

addEventListener("fetch", (event) => {
  try {
    event.respondWith(respond(event.request));
  } catch (error) {
    // What an import refuses comes as an error with the WIT's value as its payload.
    if (error?.payload?.tag === undefined) throw error;
    const { tag, val } = error.payload;
    event.respondWith(answer(tag === "query-failed" ? 409 : 502, { tag, message: val }));
  }
});
