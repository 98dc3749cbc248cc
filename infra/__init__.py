"""What is run once from an administrator's desk; the Bicep files beside it are the environment itself."""
