"""The Autotask adapter."""
