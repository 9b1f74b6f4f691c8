"""Perplexity: its SDK is one of Stainless's, its wire format OpenAI's; it states its own cost of each answer."""

from spanledger.providers._stainless import Stainless
from spanledger.providers.openai import EMBEDDINGS, ROUTES

provider = Stainless("perplexity", "perplexity", {**ROUTES, "/contextualizedembeddings": EMBEDDINGS})
