"""A loopback server that answers with what a test gives it, byte for byte, and clients that talk to it."""

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import anthropic
import openai
import pytest

from spanledger import _faults
from spanledger.testing import capture_charges


class Answer(NamedTuple):
    """One HTTP response; a dict is sent as JSON, a list as an event stream. One that is `cut` breaks off half way."""

    body: object
    content_type: str = "application/json"
    status: int = 200
    cut: bool = False
    encoding: str = "identity"

    @property
    def content(self):
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, list):
            return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in self.body)
        return json.dumps(self.body).encode()

    @property
    def kind(self):
        return "text/event-stream" if isinstance(self.body, list) else self.content_type


class Canned:
    """Gives each request the next answer, and keeps what was asked as (method, path, body)."""

    def __init__(self):
        self.answers = deque()
        self.asked = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                owner.asked.append((self.command, self.path, body))
                answer = owner.answers.popleft()
                self.send_response(answer.status)
                self.send_header("content-type", answer.kind)
                self.send_header("content-encoding", answer.encoding)
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.close_connection = answer.cut
                self.wfile.write(answer.content[: len(answer.content) // 2] if answer.cut else answer.content)

            do_POST = do_GET  # noqa: N815 -- http.server finds it by this name

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, body, content_type="application/json", status=200, *, cut=False, encoding="identity"):
        self.answers.append(Answer(body, content_type, status, cut, encoding))

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def canned():
    server = Canned()
    yield server
    server.close()
    assert not server.answers, "an answer was not asked for"


@pytest.fixture
def client(canned):
    with openai.OpenAI(base_url=canned.url + "/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(canned):
    async with openai.AsyncOpenAI(base_url=canned.url + "/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(canned):
    with anthropic.Anthropic(base_url=canned.url, api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
def charges():
    """The charges of the test; no part of the capture path may have failed."""
    _faults.reset()
    with capture_charges() as made:
        yield made
    assert _faults.snapshot() == {"lost": 0, "faults": {}}
