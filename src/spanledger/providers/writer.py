"""Writer: its SDK is one of Stainless's, its wire format OpenAI's under a path of its own."""

from spanledger.providers._stainless import Stainless
from spanledger.providers.openai import CHAT, COMPLETIONS

provider = Stainless("writerai", "writer", {"/chat": CHAT, "/completions": COMPLETIONS})
