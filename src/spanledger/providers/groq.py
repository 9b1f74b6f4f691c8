"""Groq: its SDK is one of Stainless's, its wire format OpenAI's."""

from spanledger.providers._stainless import Stainless
from spanledger.providers.openai import LOOKUPS, ROUTES

provider = Stainless("groq", "groq", ROUTES, lookups=LOOKUPS)
