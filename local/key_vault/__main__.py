"""Command line of the Key Vault simulator: makes its own CA, serves https on loopback.

    python -m local.key_vault --port P --directory DIR --entra https://localhost:E --ca-file ENTRA_CA

writes DIR/ca.pem, the CA to trust.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from local.entra.certificates import write_tls_files
from local.key_vault.application import key_vault_app
from local.simulation.serve import serve


def main() -> None:
    """Read the arguments, write the CA, serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m local.key_vault", description="Azure Key Vault simulator")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--directory", type=Path, required=True, help="receives ca.pem")
    parser.add_argument("--entra", required=True, help="base URL of the directory whose tokens are accepted")
    parser.add_argument("--ca-file", type=Path, required=True, help="the CA of that directory")
    arguments = parser.parse_args()
    tls = write_tls_files(arguments.directory)
    app = key_vault_app(f"https://localhost:{arguments.port}", entra=arguments.entra, ca_file=arguments.ca_file)
    serve(app, name="key-vault", port=arguments.port, certificate=tls.certificate, private_key=tls.key)


if __name__ == "__main__":
    main()
