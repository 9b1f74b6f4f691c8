"""Fireworks AI: its SDK is one of Stainless's, its wire formats are OpenAI's and Anthropic's."""

from spanledger.providers import anthropic, openai
from spanledger.providers._stainless import Stainless

provider = Stainless("fireworks", "fireworks_ai", {**openai.ROUTES, **anthropic.ROUTES})
