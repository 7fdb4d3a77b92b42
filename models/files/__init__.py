"""Files of payments or applications and their labels, CSV or Parquet, as the stream would have them (extra `files`)."""
