"""Lets Beam's and TFX's remote workers install Overtile (`--setup_file`); pyproject.toml says what."""

from setuptools import setup

setup()
