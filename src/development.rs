//! `keyledger serve --dev`: a signing key that exists only in this process, and a token signed with it.

use std::net::SocketAddr;

use keyledger_domain::Clock;
use keyledger_identity::{
    Claims, RoleRules, RsaAlgorithm, SigningError, SigningKey, TokenKeys, TokenRules, mint,
};

const USER: &str = "dev";
const TOKEN_HOURS: i64 = 12;

/// Generates a signing key. Returns the rules that accept its tokens, and a token for the user `dev`
/// that expires after 12 hours.
///
/// # Errors
/// [`SigningError`] when no key or token can be made.
pub fn sign_in(roles: RoleRules, clock: &dyn Clock) -> Result<(TokenRules, String), SigningError> {
    let (signing, verifying) = SigningKey::generate()?;
    let now = clock.now().unix_seconds();
    let claims = Claims {
        user_id: USER.to_owned(),
        email: Some("dev@example.com".to_owned()),
        roles: [roles.audit.clone()].into_iter().chain(roles.create.clone()).collect(),
        audience: None,
        issuer: None,
        issued_at: now,
        expires_at: now + TOKEN_HOURS * 3600,
    };
    let token = mint(&signing, &claims, None)?;
    let source = TokenKeys::PublicKey(verifying);
    let rules = TokenRules {
        source,
        audiences: Vec::new(),
        issuer: None,
        rsa_algorithm: RsaAlgorithm::default(),
        roles,
    };
    Ok((rules, token))
}

/// The text that is printed at the start, with commands to paste into a shell.
#[must_use]
pub fn banner(address: SocketAddr, internal: SocketAddr, token: &str) -> String {
    format!(
        r#"keyledger runs for development on http://{address}: tokens are signed with a key that lasts
as long as this process. API documentation: http://{address}/docs

Paste this into another shell. It signs you in as the user "{USER}" for {TOKEN_HOURS} hours:

export KEYLEDGER=http://{address} INTERNAL=http://{internal}
export TOKEN={token}

Create a key, which is shown this once; list your keys; revoke it; see its history; delete it:

curl -s $KEYLEDGER/keys -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"name":"my first key"}}'
curl -s $KEYLEDGER/keys -H "Authorization: Bearer $TOKEN"
KEY_ID=$(curl -s $KEYLEDGER/keys -H "Authorization: Bearer $TOKEN" | sed -n 's/.*"key_id":"\([^"]*\)".*/\1/p')
curl -s -X DELETE $KEYLEDGER/keys/$KEY_ID -H "Authorization: Bearer $TOKEN"
curl -s $KEYLEDGER/keys/$KEY_ID/history -H "Authorization: Bearer $TOKEN"
curl -s -X DELETE $KEYLEDGER/keys/$KEY_ID/permanent -H "Authorization: Bearer $TOKEN"

Create another, and verify it as the gateway of an API would:

API_KEY=$(curl -s $KEYLEDGER/keys -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"name":"my second key"}}' | sed -n 's/.*"api_key":"\([^"]*\)".*/\1/p')
curl -s $INTERNAL/verify -H 'Content-Type: application/json' -d "{{\"key\":\"$API_KEY\"}}"
"#
    )
}
