"""ServingValidator: a model that does not load, or answers wrongly, is not pushed."""
