"""A stand-in for the Hub on loopback: the part of its HTTP API that pushing and loading a model use.

Repositories are dicts in memory. A commit is one request, as on the Hub: a branch moves to it or stays.
"""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OWNER = "someone"
LFS_FROM = 20_000  # bytes


@dataclass
class Repo:
    """Files of every commit, and the commit of every branch."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        sha = self.branches.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


class StandIn(ThreadingHTTPServer):
    """Attributes to set: `refuse`, a status for every write; `drop`, a pattern of `METHOD PATH` whose connection is
    closed without an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.log: list[str] = []
        self.refuse: int | None = None
        self.drop: str | None = None

    def __enter__(self) -> "StandIn":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        return self.repos[repo].at(revision)[1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    do_GET = do_POST = do_PUT = do_HEAD

    def _serve(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        line = f"{self.command} {path}"
        self.server.log.append(line)
        if self.server.drop and re.search(self.server.drop, line):
            self.close_connection = True
            self.connection.close()
            return
        body = self._body()
        if self.server.refuse and self.command in ("POST", "PUT"):
            return self._answer(self.server.refuse, {"error": "no such luck"})
        for pattern, act in ROUTES:
            match = re.fullmatch(pattern, line)
            if match:
                return act(self, body, **{k: urllib.parse.unquote(v or "main") for k, v in match.groupdict().items()})
        self._answer(404, {"error": f"the stand-in has no {line}"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: Any = None, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit, or None after the answer that there is none."""
        if repo not in self.server.repos:
            self._answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        found = self.server.repos[repo].at(revision)
        if found is None:
            self._answer(404, {"error": "Revision not found"}, X_Error_Code="RevisionNotFound")
        return found

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        repo = f"{asked.get('organization') or OWNER}/{asked['name']}"
        if repo in self.server.repos:
            return self._answer(409, {"error": "exists", "url": f"{self.server.url}/{repo}"})
        self.server.repos[repo] = Repo(bool(asked.get("private")) or asked.get("visibility") == "private")
        self._answer(200, {"url": f"{self.server.url}/{repo}"})

    def info(self, body: bytes, repo: str, revision: str = "main") -> None:
        found = self._find(repo, revision)
        if found:
            siblings = [{"rfilename": name} for name in found[1]]
            private = self.server.repos[repo].private
            self._answer(200, {"id": repo, "sha": found[0], "private": private, "siblings": siblings})

    def branch(self, body: bytes, repo: str, branch: str) -> None:
        branches = self.server.repos[repo].branches
        if branch in branches:
            return self._answer(409, {"error": "exists"})
        branches[branch] = branches["main"]
        self._answer(200)

    def validate_yaml(self, body: bytes) -> None:
        self._answer(200, {"errors": [], "warnings": []})

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        if self._find(repo, revision):
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["size"] >= LFS_FROM else "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self._answer(200, {"files": modes})

    def lfs_batch(self, body: bytes, repo: str) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            if wanted["oid"] not in self.server.objects:
                upload = {"href": f"{self.server.url}/lfs/{wanted['oid']}"}
                wanted = {**wanted, "actions": {"upload": upload}}
            objects.append(wanted)
        self._answer(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.objects[oid] = body
        self._answer(200)

    def commit(self, body: bytes, repo: str, revision: str) -> None:
        found = self._find(repo, revision)
        if not found:
            return
        files = dict(found[1])
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        sha = hashlib.sha1(body).hexdigest()
        self.server.repos[repo].commits[sha] = files
        self.server.repos[repo].branches[revision] = sha
        self._answer(200, {"commitOid": sha, "commitUrl": f"{self.server.url}/{repo}/commit/{sha}", "hookOutput": ""})

    def resolve(self, body: bytes, repo: str, revision: str, path: str) -> None:
        found = self._find(repo, revision)
        if not found:
            return
        sha, files = found
        if path not in files:
            return self._answer(404, {"error": "no such file"}, X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
        etag = f'"{hashlib.sha256(files[path]).hexdigest()}"'
        self._answer(200, files[path], ETag=etag, X_Repo_Commit=sha)

    def tree(self, body: bytes, repo: str, revision: str, path: str) -> None:
        found = self._find(repo, revision)
        if not found:
            return
        prefix = "" if path == "main" else f"{path}/"
        inside = [name for name in found[1] if name.startswith(prefix)]
        if prefix and not inside:
            return self._answer(404, {"error": "no such folder"}, X_Error_Code="EntryNotFound")
        entries = [
            {
                "type": "file",
                "path": name,
                "size": len(found[1][name]),
                "oid": hashlib.sha1(found[1][name]).hexdigest(),
            }
            for name in inside
        ]
        self._answer(200, entries)


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"
ROUTES = [
    ("POST /api/repos/create", Handler.create),
    ("POST /api/validate-yaml", Handler.validate_yaml),
    (rf"POST /api/models/{_REPO}/branch/(?P<branch>[^/]+)", Handler.branch),
    (rf"POST /api/models/{_REPO}/preupload/{_REVISION}", Handler.preupload),
    (rf"POST /api/models/{_REPO}/commit/{_REVISION}", Handler.commit),
    (rf"GET /api/models/{_REPO}/tree/{_REVISION}(?:/(?P<path>.+))?", Handler.tree),
    (rf"GET /api/models/{_REPO}(?:/revision/{_REVISION})?", Handler.info),
    (rf"POST /{_REPO}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    (r"PUT /lfs/(?P<oid>\w+)", Handler.lfs_put),
    (rf"(?:GET|HEAD) /{_REPO}/resolve/{_REVISION}/(?P<path>.+)", Handler.resolve),
]
