"""ImageExampleGen: labelled images become TFRecords of tiles."""
