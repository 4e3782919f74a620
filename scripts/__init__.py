"""Scripts that make the sample clip and the model; importable from the repository root."""
