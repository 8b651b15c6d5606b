"""For Beam's and TFX's remote workers (`--setup_file`); pyproject.toml says what is installed."""

from setuptools import setup

setup()
