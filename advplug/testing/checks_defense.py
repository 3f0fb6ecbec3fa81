"""Checks of a defense."""
