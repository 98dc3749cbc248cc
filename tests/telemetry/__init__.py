"""Telemetry by itself: what spans belong to, what log lines say, and what the exporters send."""
