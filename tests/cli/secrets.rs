//! What the program leaves on the disk and says to whoever looks: files of its own user only, and no value
//! of a setting.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{SECRET, Setup, keyledger, run};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[keyledger_bounded::test]
async fn data_is_for_its_own_user_whatever_the_umask() {
    for umask in ["000", "022", "777"] {
        let folder = TempDir::new().unwrap();
        let script = format!("umask {umask}; exec \"$@\"");
        let mut program = keyledger(folder.path());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]).arg(program.get_program()).arg("migrate");
        shell.current_dir(folder.path());
        let output = run(&mut shell);
        assert!(output.status.success(), "{output:?}");
        let output = run(program
            .args(["audit", "keygen", "--name", "log.example.com"])
            .args(["--out", "log"]));
        assert!(output.status.success(), "{output:?}");
        let data = folder.path().join("data");
        assert_eq!(mode(&data), 0o700, "umask {umask}");
        for file in std::fs::read_dir(&data).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "umask {umask}: {}", path.display());
        }
    }
}

#[keyledger_bounded::test]
async fn a_key_that_others_may_read_is_refused_with_what_to_type() {
    let folder = std::sync::Arc::new(TempDir::new().unwrap());
    let key = folder.path().join("log.key");
    for (mode, is_refused) in
        [(0o600, false), (0o400, false), (0o440, false), (0o644, true), (0o620, true)]
    {
        std::fs::write(&key, "no key").unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        let output = Setup::in_folder(folder.clone())
            .set("KEYLEDGER_AUDIT_KEY", key.to_str().unwrap())
            .run();
        let told = String::from_utf8(output.stderr).unwrap();
        let command = format!("chmod u=rw,g=,o= {}", key.display());
        assert_eq!(told.contains(&command), is_refused, "{mode:o}: {told}");
        std::fs::remove_file(&key).unwrap();
    }
}

#[keyledger_bounded::test]
fn a_value_that_is_refused_is_never_repeated() {
    let folder = TempDir::new().unwrap();
    let secret = "s3cr3t-value";
    let pem = format!("-----BEGIN PRIVATE KEY-----\\n{secret}\\n-----END PRIVATE KEY-----");
    for value in [secret, &pem] {
        for setting in keyledger::config::SETTINGS {
            let output = run(keyledger(folder.path())
                .arg("serve")
                .env("KEYLEDGER_JWT_HS256_SECRET", SECRET)
                .env("KEYLEDGER_LISTEN", "everywhere")
                .env(setting.env, value));
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success(), "{}", setting.env);
            assert!(!told.contains("s3cr3t"), "{}: {told}", setting.env);
        }
    }
    let output = run(keyledger(folder.path()).args(["serve", "--jwt-hs256-secret", secret]));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("s3cr3t"));
    let output = run(keyledger(folder.path()).args(["token", "--user", "ann", "--key", secret]));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("s3cr3t"));
}

#[keyledger_bounded::test]
async fn a_secret_that_is_given_as_a_flag_is_warned_of() {
    let flag = format!("--jwt-hs256-secret={SECRET}");
    let service = Setup::new().unset("KEYLEDGER_JWT_HS256_SECRET").argument(&flag).start();
    service.printed("KEYLEDGER_JWT_HS256_SECRET was given as a flag").await;
    let (_, output) = service.stop();
    assert!(!output.contains(SECRET), "{output}");
    let url = "--jwt-jwks-url=http://127.0.0.1:9/keys?token=hunter2";
    let service = Setup::new().unset("KEYLEDGER_JWT_HS256_SECRET").argument(url).start();
    service.printed("KEYLEDGER_JWT_JWKS_URL was given as a flag").await;
    let plain = "--read-url=sqlite://data/read.db";
    let (_, output) = Setup::new().argument(plain).start().stop();
    assert!(!output.contains("as a flag"), "{output}");
}

#[keyledger_bounded::test]
async fn what_is_less_closed_than_it_could_be_is_warned_of() {
    let (_, output) = Setup::new().set("KEYLEDGER_INTERNAL_LISTEN", "0.0.0.0:0").start().stop();
    assert!(output.contains("neither KEYLEDGER_JWT_AUDIENCE nor KEYLEDGER_JWT_ISSUER is set"));
    assert!(output.contains("KEYLEDGER_INTERNAL_TOKENS is not set"));
    let (_, output) =
        Setup::new().set("KEYLEDGER_JWT_ISSUER", "https://id.example.com").start().stop();
    assert!(!output.contains("KEYLEDGER_JWT_AUDIENCE"), "{output}");
    assert!(!output.contains("KEYLEDGER_INTERNAL_TOKENS"), "{output}");
}
