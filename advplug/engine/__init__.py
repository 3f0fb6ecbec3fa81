"""The engine: problems, searches, best points, verification, and all that asks the model."""
