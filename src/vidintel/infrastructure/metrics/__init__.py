"""Prometheus: what is counted as it happens, what is looked up when somebody asks, and how it is served."""
