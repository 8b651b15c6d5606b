"""Commands of `overtile` that are rooms of their own."""
