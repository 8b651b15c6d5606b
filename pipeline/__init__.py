"""The product's front: configuration, the DAG, the local runner, the command line."""
