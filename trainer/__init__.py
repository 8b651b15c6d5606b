"""Everything that makes a model: architectures, input, training, tuning, export."""
