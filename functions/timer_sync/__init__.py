"""Timer doors."""
