"""RunReport: one self-contained HTML file a run, for people."""

FILE = "report.html"
"""What the component writes into its artifact's folder."""

RUN_PROPERTY = "run"
"""The artifact's custom property that names the run which wrote it."""
