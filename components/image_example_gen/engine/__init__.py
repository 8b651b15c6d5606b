"""Who writes the records: Beam's workers, and threads or processes of this machine."""
