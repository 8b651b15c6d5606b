"""StatisticsGen: statistics of one data set, or of several spans at once."""
