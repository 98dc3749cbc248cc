"""Azure Table Storage: keys, rows and the repositories on them."""
