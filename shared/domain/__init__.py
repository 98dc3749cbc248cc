"""Pure rules and values; imports no I/O."""
