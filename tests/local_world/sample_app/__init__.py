"""A small function app that uses everything the local Functions host supports."""
