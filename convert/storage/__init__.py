"""Files on a local disk or on HDFS; `places.filesystem_of` returns what keeps a path's files."""
