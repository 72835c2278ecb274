"""A mail server on loopback that takes what it is given, or refuses it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import default

import pytest
from django.conf import settings


class Mailbox:
    """Speaks as much of SMTP as a sender needs. `refuses` makes it answer 451."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []
        self.refuses = False
        mailbox = self

        class Session(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                self.say("220 mailbox")
                to = ""
                while line := self.rfile.readline():
                    verb = line[:4].upper().strip()
                    if verb == b"RCPT":
                        to = line.decode().partition("<")[2].partition(">")[0]
                        self.say("451 not now" if mailbox.refuses else "250 ok")
                    elif verb == b"DATA":
                        self.say("354 go on")
                        mailbox.messages.append((to, self.read()))
                        self.say("250 ok")
                    elif verb == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def read(self) -> Message:
                data = b""
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    data += line.removeprefix(b".") if line.startswith(b"..") else line
                return message_from_bytes(data, policy=default)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    made = Mailbox()
    monkeypatch.setattr(settings, "EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
    monkeypatch.setattr(settings, "EMAIL_HOST", "127.0.0.1")
    monkeypatch.setattr(settings, "EMAIL_PORT", made.server.server_address[1])
    yield made
    made.server.shutdown()
    made.server.server_close()
