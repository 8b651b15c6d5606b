"""ExampleValidator: stops the run where records do not look as the schema says."""
