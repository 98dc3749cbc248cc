"""Puts the sign-in to Partner Center together from its settings: for the application and for the consent command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.domain.errors import Misconfigured
from shared.partner_center import credential
from shared.partner_center.authority import Authority
from shared.partner_center.claims import Expected, audience_of
from shared.partner_center.key_vault import KeyVault, VaultedToken
from shared.partner_center.refresh_tokens import RefreshTokens, TokenFile
from shared.partner_center.rotation import UserSignIn
from shared.partner_center.token import AppSignIn, Tokens
from shared.settings import SignIn, SignInSettings
from shared.storage.coordination import Coordination


def tokens(settings: SignInSettings, coordination: Coordination, now: Callable[[], datetime]) -> Tokens:
    """The tokens of this process. Raises Misconfigured naming the settings that are missing."""
    if settings.partner_center_sign_in is SignIn.USER:
        sign_in: AppSignIn | UserSignIn = user_sign_in(settings, coordination, now)
    else:
        sign_in = AppSignIn(authority(settings))
    pause = timedelta(seconds=settings.partner_center_stop_seconds)
    return Tokens(sign_in, coordination, expected(settings), now=now, pause=pause)


def user_sign_in(settings: SignInSettings, coordination: Coordination, now: Callable[[], datetime]) -> UserSignIn:
    """The sign-in by a stored refresh token. Raises Misconfigured naming the settings that are missing."""
    return UserSignIn(authority(settings), refresh_tokens(settings, now), coordination, now=now)


def authority(settings: SignInSettings) -> Authority:
    """The authority with the application's credential. Raises Misconfigured where there is none."""
    return Authority(
        authority=settings.authority,
        tenant=settings.partner_center_tenant,
        client_id=settings.partner_center_client_id,
        credential=_credential(settings),
        scope=settings.scope,
        ca_file=settings.entra_ca_file,
    )


def expected(settings: SignInSettings) -> Expected:
    """What every token has to say."""
    return Expected(
        tenant=settings.partner_center_tenant,
        audience=audience_of(settings.scope),
        user=settings.partner_center_sign_in is SignIn.USER,
    )


def refresh_tokens(settings: SignInSettings, now: Callable[[], datetime]) -> RefreshTokens:
    """Where the refresh token is kept: the file that is named, else Key Vault. Raises Misconfigured for neither."""
    if settings.partner_center_refresh_token_file:
        return TokenFile(settings.partner_center_refresh_token_file, now=now)
    if settings.key_vault_url:
        return VaultedToken(KeyVault(settings.key_vault_url), settings.partner_center_refresh_token_secret, now=now)
    raise Misconfigured("a user sign-in needs KEY_VAULT_URL or PARTNER_CENTER_REFRESH_TOKEN_FILE for its refresh token")


def _credential(settings: SignInSettings) -> credential.CredentialSource:
    """A certificate comes before a secret."""
    if settings.partner_center_certificate_file:
        return credential.from_file(settings.partner_center_certificate_file)
    if settings.partner_center_certificate_secret:
        if not settings.key_vault_url:
            raise Misconfigured("PARTNER_CENTER_CERTIFICATE_SECRET needs KEY_VAULT_URL")
        return credential.from_key_vault(KeyVault(settings.key_vault_url), settings.partner_center_certificate_secret)
    if settings.partner_center_client_secret is not None:
        return credential.from_secret(settings.partner_center_client_secret.get_secret_value())
    raise Misconfigured(
        "PARTNER_CENTER_CLIENT_SECRET, PARTNER_CENTER_CERTIFICATE_FILE or PARTNER_CENTER_CERTIFICATE_SECRET is needed"
    )
