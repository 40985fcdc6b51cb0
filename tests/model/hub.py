"""A Hugging Face Hub on this machine: as much of its HTTP interface as a download uses."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" * 6 + "abcd"
TOKEN = "hf_letMeIn"


class Hub(ThreadingHTTPServer):
    """repositories: name -> path -> content. gated: names that want TOKEN, and its account's consent.

    spoiled: paths that arrive with other bytes. cut: path -> bytes after which the connection breaks, once.
    down: every request is answered with this status. requests: (path, range header) of each file request.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.consent = True
        self.spoiled: set[str] = set()
        self.cut: dict[str, int] = {}
        self.down: int | None = None
        self.requests: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.server.down:
            return self.refuse(self.server.down)
        if self.path.startswith("/api/models/"):
            return self.tell(self.path.removeprefix("/api/models/").partition("?")[0])
        repository, _, path = self.path[1:].partition(f"/resolve/{COMMIT}/")
        return self.deliver(repository, path)

    def tell(self, repository: str):
        files = self.server.repositories.get(repository)
        if files is None:
            return self.refuse(401, "RepoNotFound")
        siblings = [
            {"rfilename": path, "size": len(content), "blobId": "0"}
            | (
                {
                    "lfs": {
                        "sha256": hashlib.sha256(content).hexdigest(),
                        "size": len(content),
                        "pointerSize": 9,
                    }
                }
                if not path.endswith(".yaml")
                else {}
            )
            for path, content in files.items()
        ]
        body = json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings, "tags": []}).encode()
        self.answer(200, body)

    def deliver(self, repository: str, path: str):
        self.server.requests.append((path, self.headers["Range"]))
        if repository in self.server.gated:
            token = self.headers["Authorization"]
            if token != f"Bearer {TOKEN}":
                return self.refuse(401, "GatedRepo")
            if not self.server.consent:
                return self.refuse(403, "GatedRepo")
        content = self.server.repositories[repository][path]
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        rest = bytes(len(content) - start) if path in self.server.spoiled else content[start:]
        self.answer(206 if start else 200, rest, self.server.cut.pop(path, None))

    def refuse(self, status: int, code: str = ""):
        self.answer(status, b"", headers={"X-Error-Code": code})

    def answer(self, status: int, body: bytes, cut: int | None = None, headers: dict[str, str] | None = None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = cut is not None

    def log_message(self, *arguments):
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield hub
        hub.shutdown()
