"""The curated schema of the records' descriptive features."""

from pathlib import Path

FILE = Path(__file__).with_name("schema.pbtxt")
"""A tensorflow_metadata Schema in text form; ImportSchemaGen reads it."""
