"""What a figure may hide: every diagnostic says pass, warn, fail or not run."""
