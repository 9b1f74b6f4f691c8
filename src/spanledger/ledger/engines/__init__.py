"""One file an engine: each runs the same questions and passes the same suite."""
