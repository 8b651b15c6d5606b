"""The same DAG on Kubeflow Pipelines.

`runner` compiles it to a package, `entrypoint` runs one node of it in a container, `schedule` sends
the package to a cluster, and `local` runs it here from its own commands.
"""
