"""What fakes and real adapters have in common: the same test functions run over both."""
