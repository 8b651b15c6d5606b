"""Resolvers of our own: which artifacts of earlier runs a run uses."""
