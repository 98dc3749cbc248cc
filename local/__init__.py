"""Everything that stands in for the cloud on one machine, started by `python -m local`. None of it is deployed."""
