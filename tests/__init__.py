"""Mirrors the packages; `e2e` runs whole pipelines."""
