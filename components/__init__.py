"""TFX components of Overtile's own, one folder each, and the record that they share."""
