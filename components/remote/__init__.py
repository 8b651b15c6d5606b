"""Files on the filesystems that Beam knows, as if they were on this machine."""
