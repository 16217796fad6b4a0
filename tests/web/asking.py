"""Ask the application as no client of ours would: any path, headers and body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote


@dataclass(kw_only=True)
class Answered:
    """What came back."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: bytes = b""


async def ask_raw(
    app: Any, method: str, raw_path: str, query: str, headers: dict[str, str], body: bytes
) -> Answered:
    """One request; its client leaves once it has asked, so that a stream ends."""
    answered, has_asked = Answered(), False

    async def receive() -> dict[str, Any]:
        nonlocal has_asked
        if has_asked:
            return {"type": "http.disconnect"}
        has_asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def give(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered.status, answered.headers = message["status"], list(message["headers"])
        else:
            answered.content += message.get("body", b"")

    written = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(raw_path), "raw_path": raw_path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": written, "server": ("unlatch.test", 80), "client": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip
    await app(scope, receive, give)
    return answered
