"""A function as Spin's SDK for Python makes them: it echoes, and asks PostgreSQL, through asynchronous calls."""

import json
from urllib.parse import parse_qsl, urlsplit

from componentize_py_types import Err
from spin_sdk import http, postgres, util, variables
from spin_sdk.http import Request, Response
from spin_sdk.wit.imports.spin_postgres_postgres_4_2_0 import (
    Error_QueryFailed,
    ParameterValue_Str,
    QueryError_DbError,
)

# A server that the manifest doesn't allow.
ELSEWHERE = "postgres://nobody@127.0.0.1:1/nothing"


def answer(status: int, value: object) -> Response:
    return Response(
        status, {"content-type": "application/json"}, json.dumps(value).encode()
    )


async def rows(statement: str, *texts: str) -> list[dict[str, object]]:
    return await rows_at(await variables.get("database_url"), statement, *texts)


async def rows_at(address: str, statement: str, *texts: str) -> list[dict[str, object]]:
    with await postgres.Connection.open(address) as connection:
        parameters = [ParameterValue_Str(text) for text in texts]
        columns, stream, end = await connection.query(statement, parameters)
        names = [column.name for column in columns]
        found = await util.collect((stream, end))
    return [
        {name: getattr(value, "value", None) for name, value in zip(names, row)}
        for row in found
    ]


class HttpHandler(http.Handler):
    async def handle_request(self, request: Request) -> Response:
        url = urlsplit(request.uri)
        query = dict(parse_qsl(url.query))
        try:
            match url.path.rsplit("/", 1)[-1]:
                case "hello":
                    return answer(200, "hello from Python")
                case "echo":
                    return Response(200, {}, request.body)
                case "lot":
                    statement = "SELECT code, kg, NULL AS note FROM foreign_lots WHERE code = $1"
                    return answer(200, await rows(statement, query["code"]))
                case "fail":
                    await rows("INSERT INTO foreign_lots (code) VALUES ($1)", query["code"])
                case "elsewhere":
                    return answer(200, await rows_at(ELSEWHERE, "SELECT 1"))
                case "crash":
                    raise RuntimeError("as it was asked to")
        except Err as error:
            match error.value:
                case Error_QueryFailed(QueryError_DbError(told)):
                    return answer(409, {"code": told.code, "message": told.message})
                case other:
                    return answer(502, repr(other))
        return answer(404, f"there is no {url.path}")
