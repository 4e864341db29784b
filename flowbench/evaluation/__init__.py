"""What is measured of a trained model: one family of metrics per file."""
