"""What the HTTP functions make of a request, without a host."""
