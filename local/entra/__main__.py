"""Command line of the Entra simulator: makes the CA, writes what clients need to know, serves https on loopback.

    python -m local.entra --port P --directory DIR

writes DIR/ca.pem (the CA to trust), DIR/client.pem (key and certificate of the client application), DIR/entra.json
(url, tenant, client id and secret, seeded refresh tokens) and DIR/refresh-token.json (one of them, as stored).
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from local.entra import identities
from local.entra.application import entra_app
from local.entra.certificates import write_client_certificate, write_tls_files
from local.simulation.serve import serve


def main() -> None:
    """Read the arguments, write the files, serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m local.entra", description="Entra ID simulator")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--directory", type=Path, required=True, help="receives ca.pem and entra.json")
    arguments = parser.parse_args()
    base_url = f"https://localhost:{arguments.port}"
    tls = write_tls_files(arguments.directory)
    client_file = arguments.directory / "client.pem"
    certificate = write_client_certificate(client_file)
    _store_refresh_token(arguments.directory / "refresh-token.json")
    (arguments.directory / "entra.json").write_text(
        json.dumps(_description(base_url, tls.ca, client_file), indent=2) + "\n"
    )
    serve(
        entra_app(base_url, certificate),
        name="entra",
        port=arguments.port,
        certificate=tls.certificate,
        private_key=tls.key,
    )


def _store_refresh_token(file: Path) -> None:
    """Earlier tokens are forgotten with the process that issued them, so the stored one begins anew too."""
    stored = {"token": identities.REFRESH_TOKEN_WITH_MFA, "storedAt": datetime.now(UTC).isoformat()}
    file.touch(mode=0o600)
    file.write_text(json.dumps(stored) + "\n")


def _description(base_url: str, ca: Path, client_file: Path) -> dict[str, object]:
    return {
        "url": base_url,
        "caFile": str(ca.resolve()),
        "tenant": identities.PARTNER_TENANT,
        "clientId": identities.PARTNER_CENTER_APP.client_id,
        "clientSecret": identities.PARTNER_CENTER_APP.secret,
        "clientCertificateFile": str(client_file.resolve()),
        "apiAudience": identities.API_AUDIENCE,
        "refreshTokens": {
            "withMfa": identities.REFRESH_TOKEN_WITH_MFA,
            "withoutMfa": identities.REFRESH_TOKEN_WITHOUT_MFA,
            "expired": identities.REFRESH_TOKEN_EXPIRED,
        },
    }


if __name__ == "__main__":
    main()
