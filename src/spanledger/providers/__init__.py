"""One file a provider: where its calls are seen, and tables that say what its responses are billed for."""
