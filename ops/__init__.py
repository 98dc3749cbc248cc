"""The command line of the dead-letter desk: `python -m ops --help` (docs/ops.md)."""
