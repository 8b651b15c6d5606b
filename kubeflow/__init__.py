"""The second runner of the same DAG, on Kubeflow Pipelines; it comes with the next version."""
