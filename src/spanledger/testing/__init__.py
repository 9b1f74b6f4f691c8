"""For your tests, and for ours: a loopback provider server, and the charges that a block of code makes.

from spanledger.testing import ProviderServer, Reply, Tokens, capture_charges

with ProviderServer() as server, capture_charges() as charges:
    server.reply(Reply(usage=Tokens(input_tokens=1000, output_tokens=50)))
    OpenAI(base_url=server.base_url + "/v1", api_key="any").responses.create(model="gpt-5-mini", input="hello")
assert charges[0].input_tokens == 1000
"""

from __future__ import annotations

from spanledger.testing._capture import capture_charges
from spanledger.testing._reply import Exchange, Fault, Reply, Request, Tokens, refused
from spanledger.testing._server import ProviderServer

__all__ = [
    "Exchange",
    "Fault",
    "ProviderServer",
    "Reply",
    "Request",
    "Tokens",
    "capture_charges",
    "refused",
]
