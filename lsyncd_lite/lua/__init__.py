"""The part of Lua that configurations use: text → tree → values. Knows nothing of configurations."""
