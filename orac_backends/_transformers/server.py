"""One model behind a Unix socket, in as much of OpenAI's API as ORAC reads."""

import hmac
import http.server
import json
import os
import queue
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from .answer import Answer
from .model import Model, Refused

_FAILED = 3
_MAX_BODY = 64 << 20
_SILENCE_S = 1.0
_TOLD = 360  # characters of a reason


def end_with(error: BaseException) -> NoReturn:
    """Say why, and end: the last line is what ORAC tells of this process."""
    sys.stderr.write(f"worker: {type(error).__name__}: {_in_a_line(error)}\n")
    sys.stderr.flush()
    os._exit(_FAILED)


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_TOLD]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on a socket, one thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: str, model: Model, key: str) -> None:
        self.model, self.key = model, f"Bearer {key}".encode()
        super().__init__(path, Handler)
        Path(path).chmod(0o600)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as asked
        """Say in a line what went wrong; a client that has left is no news."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            sys.stderr.write(f"{type(error).__name__}: {_in_a_line(error)}\n")
            sys.stderr.flush()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request; the connection ends with it."""

    server: Server

    def do_GET(self) -> None:
        """Tell what is used."""
        if self._may():
            self._tell(200, self.server.model.told())

    def do_POST(self) -> None:
        """Answer a prompt."""
        if not self._may():
            return
        length = int(self.headers.get("content-length") or 0)
        if not 0 < length <= _MAX_BODY:
            self._refuse(413, "the body is empty or too long")
            return
        try:
            asked = json.loads(self.rfile.read(length))
            answer = Answer(self.server.model, asked, self.server.model.tokens(asked))
        except Refused as error:
            self._refuse(400, str(error))
        except Exception as error:  # noqa: BLE001 - as of a tokenizer; the client is told
            self._refuse(500, f"{type(error).__name__}: {_in_a_line(error)}")
        else:
            self._stream(answer)

    def _may(self) -> bool:
        given = self.headers.get("authorization", "").encode(errors="replace")
        if hmac.compare_digest(given, self.server.key):
            return True
        self._refuse(401, "wrong key")
        return False

    def _stream(self, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        while not self.server.model.turn.acquire(timeout=_SILENCE_S):
            self._ping()
        try:
            self._answered(answer)
        finally:
            self.server.model.turn.release()
        self._send(_last(answer))
        self.wfile.write(b"data: [DONE]\n\n")

    def _answered(self, answer: Answer) -> None:
        self.server.model.left = False
        making = threading.Thread(target=answer.run, daemon=True)
        making.start()
        try:
            for piece in self._pieces(answer):
                self._send({"choices": [{"index": 0, "text": piece}]})
        finally:  # the next answer has its turn when this one has really ended
            self.server.model.left = True
            making.join()

    def _pieces(self, answer: Answer) -> Iterator[str]:
        while True:
            try:
                piece = next(answer.pieces)
            except queue.Empty:
                self._ping()
            except StopIteration:
                return
            else:
                if piece:
                    yield piece

    def _ping(self) -> None:
        self.wfile.write(b":\n\n")

    def _send(self, frame: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(frame).encode() + b"\n\n")

    def _tell(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _refuse(self, status: int, why: str) -> None:
        self._tell(status, {"error": {"code": status, "message": why}})

    def address_string(self) -> str:
        """Return who asks: a socket has no address."""
        return "ORAC"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: requests are ORAC's to log."""


def _last(answer: Answer) -> dict[str, Any]:
    """Return the last frame; where a GPU has failed, no later answer could be right."""
    error = answer.failure
    if error is None:
        return answer.told()
    if "CUDA error" in str(error) or "device-side assert" in str(error):
        end_with(error)
    return {"error": {"code": 500, "message": f"{type(error).__name__}: {_in_a_line(error)}"}}
