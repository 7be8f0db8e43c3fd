"""Servers on loopback that take messages, as a webhook and as a mail server.

with webhook() as hook:          # hook.url, hook.messages, hook.answer = 500
with mail_server() as mails:     # mails.url, mails.messages: each a whole mail as text
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "hunter2-is-secret"


@dataclass
class Webhook:
    """What a webhook was sent, and how it answers; its URL holds a password."""

    port: int = 0
    messages: list[Any] = field(default_factory=list)
    answer: int = 200
    hangs: bool = False

    @property
    def url(self) -> str:
        """Where it is, as apprise calls it."""
        return f"json://robot:{SECRET}@127.0.0.1:{self.port}/hook"


@dataclass
class MailServer:
    """What a mail server was sent: each mail as headers and text."""

    url: str = ""
    messages: list[tuple[dict[str, str], str]] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve a webhook that takes JSON."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.hangs:
                time.sleep(600)  # it hangs
            if hook.answer == 200:
                hook.messages.append(json.loads(content))
            self.send_response(hook.answer)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        hook.port = port
        yield hook


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Serve SMTP as far as sending a mail needs it (RFC 5321)."""
    mails = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 sink")
            for line in self.rfile:
                word = line.strip().upper()[:4]
                if word == b"DATA":
                    self._say("354 go on")
                    self._take()
                elif word == b"QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def _take(self) -> None:
            content = b""
            for line in self.rfile:
                if line == b".\r\n":
                    break
                content += line.removeprefix(b".")
            mail = message_from_bytes(content, policy=default)
            body = mail.get_body(("plain",))
            mails.messages.append((dict(mail.items()), body.get_content() if body else ""))
            self._say("250 taken")

        def _say(self, answer: str) -> None:
            self.wfile.write(f"{answer}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with _serving(Server(("127.0.0.1", 0), Handler)) as port:
        mails.url = f"mailto://127.0.0.1:{port}?from=cacheadmin@site.test&to=admin@site.test"
        yield mails


@contextmanager
def _serving(server: Any) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
