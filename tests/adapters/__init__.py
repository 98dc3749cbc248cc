"""The vendor adapters against scripted servers, and their pure tables."""
