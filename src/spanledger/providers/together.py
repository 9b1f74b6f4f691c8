"""Together AI: its SDK is one of Stainless's, its wire format OpenAI's, and it ranks documents too."""

from spanledger.providers._reading import Api
from spanledger.providers._stainless import Stainless
from spanledger.providers.openai import LOOKUPS, ROUTES, fold_chat, read_chat

RERANK = Api("rerank", "rerank", fold_chat, read_chat)

provider = Stainless("together", "together_ai", {**ROUTES, "/rerank": RERANK}, lookups=LOOKUPS)
