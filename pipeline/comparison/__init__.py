"""Compares models that were trained on one data set: what is behind `overtile compare`."""
