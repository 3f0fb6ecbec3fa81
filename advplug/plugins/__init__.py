"""Plugins: finding them, their names, calling their hooks, recording their failures."""
