"""Tuner: TFX's, which also leaves what became of each trial."""
