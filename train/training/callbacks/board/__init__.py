"""What TensorBoard shows of a run: curves, histograms, pictures and texts."""
