"""The generated parts of the documentation, and the test that keeps them true."""
