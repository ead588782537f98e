//! How settings are read, and which mistakes are reported.

use super::*;

const SECRET: &str = "--jwt-hs256-secret=a secret of the tests, 32 bytes or more";

fn read(arguments: &[&str]) -> Result<Config, String> {
    let serve = clap::Command::new("serve").arg(dev_flag()).args(args(&Group::ALL));
    let matches = serve.get_matches_from([&["serve"], arguments].concat());
    Config::from_matches(&matches).map_err(|mistakes| mistakes.to_string())
}

#[test]
fn the_defaults_are_the_embedded_stores_on_loopback() {
    let config = read(&[SECRET]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.journal_url, "sqlite://data/journal.db");
    assert_eq!(config.read_url, "sqlite://data/read.db");
    assert_eq!(config.roles, Roles { api: true, verify: true, projector: true, relay: true });
    assert_eq!(config.shutdown_grace, Duration::from_secs(8));
    assert!(config.allowed_origins.is_empty());
}

#[test]
fn all_mistakes_are_reported_together() {
    let mistakes = read(&[
        "--listen=8080",
        "--journal-url=mysql://x",
        "--read-url=read.db",
        "--roles=api,cook",
        "--key-prefix=A",
        "--shutdown-grace=8",
        "--allowed-origins=https://*.wild",
        "--jwt-jwks-url=http://id.example.com",
        "--jwt-hs256-secret=short",
        "--jwt-public-key=/no/such/file",
    ])
    .unwrap_err();
    for variable in [
        "LISTEN",
        "JOURNAL_URL",
        "READ_URL",
        "ROLES",
        "KEY_PREFIX",
        "SHUTDOWN_GRACE",
        "ALLOWED_ORIGINS",
        "JWT_JWKS_URL",
        "JWT_HS256_SECRET",
        "JWT_PUBLIC_KEY",
    ] {
        assert!(mistakes.contains(&format!("  KEYLEDGER_{variable}: ")), "{variable}: {mistakes}");
    }
    for value in ["8080", "mysql", "cook", "wild", "short", "/no/such/file"] {
        assert!(!mistakes.replace("127.0.0.1:8080", "").contains(value), "{value}: {mistakes}");
    }
}

#[test]
fn tokens_come_from_one_source() {
    let none = read(&[]).unwrap_err();
    assert!(none.contains("no key verifies sign-in tokens"), "{none}");
    let two = read(&[SECRET, "--jwt-jwks-url=https://id.example.com/keys"]).unwrap_err();
    assert!(two.contains("give one of"), "{two}");
    let dev = read(&[SECRET, "--dev"]).unwrap_err();
    assert!(dev.contains("--dev makes a signing key of its own"), "{dev}");
    assert!(matches!(read(&["--dev"]).unwrap().identity, Identity::Development { .. }));
}

#[test]
fn development_is_for_this_machine() {
    let open = read(&["--dev", "--listen=0.0.0.0:8080"]).unwrap_err();
    assert!(open.contains("must be a loopback address"), "{open}");
    assert!(read(&["--dev", "--listen=[::1]:8080"]).is_ok());
    assert!(read(&[SECRET, "--listen=0.0.0.0:8080"]).is_ok());
}

#[test]
fn durations_have_a_unit() {
    let millis = read(&[SECRET, "--shutdown-grace=1500ms"]).unwrap().shutdown_grace;
    assert_eq!(millis, Duration::from_millis(1500));
    let bare = read(&[SECRET, "--shutdown-grace=10"]).unwrap_err();
    assert!(bare.contains("no duration with a unit"), "{bare}");
}

#[test]
fn a_list_has_all_keys_or_the_active_ones_unless_told_otherwise() {
    let default = |value: &str| read(&[SECRET, &format!("--list-default={value}")]);
    assert_eq!(read(&[SECRET]).unwrap().list_default, StatusFilter::All);
    assert_eq!(default("all").unwrap().list_default, StatusFilter::All);
    assert_eq!(default("active").unwrap().list_default, StatusFilter::Active);
    for other in ["expired", "revoked", "Active", "active,expired"] {
        let mistake = default(other).unwrap_err();
        assert!(mistake.contains("KEYLEDGER_LIST_DEFAULT: neither all nor active"), "{mistake}");
    }
}

#[test]
fn an_empty_value_is_a_mistake() {
    let issuer = read(&[SECRET, "--jwt-issuer="]).unwrap_err();
    assert!(issuer.contains("KEYLEDGER_JWT_ISSUER: must not be empty"), "{issuer}");
    let empty = read(&[SECRET, "--listen="]).unwrap_err();
    assert!(empty.contains("KEYLEDGER_LISTEN: must not be empty"), "{empty}");
    let role = read(&[SECRET, "--create-role= "]).unwrap_err();
    assert!(role.contains("KEYLEDGER_CREATE_ROLE: must not be empty"), "{role}");
    let nobody = read(&[SECRET, "--roles=,"]).unwrap_err();
    assert!(nobody.contains("KEYLEDGER_ROLES"), "{nobody}");
    for flag in ["jwt-audience", "jwt-role-claims", "allowed-origins", "audit-key"] {
        let nothing = read(&[SECRET, &format!("--{flag}= , ")]).unwrap_err();
        assert!(nothing.contains("names nothing between its commas"), "{flag}: {nothing}");
    }
}

#[test]
fn each_secret_can_be_in_a_file_whose_setting_has_the_same_name() {
    for setting in SETTINGS {
        let Some((flag, env)) = setting.file() else { continue };
        assert_eq!(flag, format!("{}-file", setting.flag));
        assert_eq!(env, format!("{}_FILE", setting.env));
        let both = [&format!("--{}=x", setting.flag), &*format!("--{flag}=x")];
        let both = read(&[both[0], both[1]]).unwrap_err();
        assert!(both.contains(&format!("{env}: give either this or {}", setting.env)), "{both}");
    }
}

#[test]
fn a_setting_whose_name_speaks_of_secrets_is_marked() {
    const OPEN: [&str; 3] = ["max-keys-per-owner", "key-prefix", "jwt-public-key"];
    let words = ["url", "secret", "token", "password", "credential", "key", "header", "login"];
    for setting in SETTINGS.iter().filter(|setting| !OPEN.contains(&setting.flag)) {
        let speaks = words.iter().any(|word| setting.flag.contains(word));
        assert!(!speaks || setting.secrecy != Secrecy::Open, "{}", setting.flag);
    }
}

#[test]
fn each_setting_has_one_name_in_two_forms() {
    for setting in SETTINGS {
        let variable = format!("KEYLEDGER_{}", setting.flag.to_uppercase().replace('-', "_"));
        assert_eq!(setting.env, variable);
    }
}
