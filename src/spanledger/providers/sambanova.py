"""SambaNova: its SDK is one of Stainless's, its wire formats are OpenAI's and Anthropic's."""

from spanledger.providers import anthropic, openai
from spanledger.providers._stainless import Stainless

provider = Stainless("sambanova", "sambanova", {**openai.ROUTES, "/messages": anthropic.MESSAGES})
