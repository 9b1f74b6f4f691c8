"""One reader a provider bill."""
