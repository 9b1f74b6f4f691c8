"""Cerebras: its SDK is one of Stainless's, its wire format OpenAI's."""

from spanledger.providers._stainless import Stainless
from spanledger.providers.openai import ROUTES

provider = Stainless("cerebras.cloud.sdk", "cerebras", ROUTES)
