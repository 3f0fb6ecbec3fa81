"""For every conformance check one plugin that fails it and no other. Light to import, as a good one is."""
