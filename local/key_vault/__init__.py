"""Azure Key Vault on one machine: the part of the secrets API that the unmodified SDK uses, over https on loopback."""
