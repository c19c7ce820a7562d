"""Text → one checked Config. Knows nothing of what runs later."""
