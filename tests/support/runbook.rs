//! The runbook in docs/operations.md, followed to the letter.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use keyledger_test_servers::postgres::program;
use keyledger_test_servers::wait::until_blocking;
use tempfile::TempDir;

use super::{keyledger, run};

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// The commands of a section, block by block. All of them have to be followed.
pub(crate) struct Section {
    title: String,
    blocks: VecDeque<String>,
    folder: Arc<TempDir>,
    settings: BTreeMap<String, String>,
}

impl Section {
    /// The section with this title, for a service in this folder.
    #[track_caller]
    pub(crate) fn of(title: &str, folder: Arc<TempDir>) -> Self {
        let heading = format!("\n### {title}\n");
        let (_, section) = OPERATIONS.split_once(&heading).unwrap();
        let mut blocks = VecDeque::new();
        let mut is_within = false;
        for line in section.lines().take_while(|line| !line.starts_with('#')) {
            match line.trim() {
                "```sh" => {
                    is_within = true;
                    blocks.push_back(String::new());
                }
                "```" => is_within = false,
                command if is_within => {
                    let block = blocks.back_mut().unwrap();
                    block.push_str(command);
                    block.push('\n');
                }
                _ => {}
            }
        }
        Self { title: title.to_owned(), blocks, folder, settings: BTreeMap::new() }
    }

    /// The same with this variable in the operator's environment.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same without its first blocks.
    pub(crate) fn skip(mut self, blocks: usize) -> Self {
        self.blocks.drain(..blocks);
        self
    }

    /// The same for a service in another folder.
    pub(crate) fn goes_on_in(mut self, folder: Arc<TempDir>) -> Self {
        self.folder = folder;
        self
    }

    /// Runs the next block until it prints this.
    #[track_caller]
    pub(crate) fn follow_until(&mut self, printed: &str) {
        let block = self.blocks.front().unwrap().clone();
        until_blocking(&format!("{printed:?} from {block}"), || match self.follow() {
            told if told.trim() == printed => Ok(()),
            told => {
                self.blocks.push_front(block.clone());
                Err(told)
            }
        });
    }

    /// Runs the next block, and returns what it prints.
    #[track_caller]
    pub(crate) fn follow(&mut self) -> String {
        self.follow_with("", "")
    }

    /// The same with a text, which must be in the block, replaced by another.
    #[track_caller]
    pub(crate) fn follow_with(&mut self, text: &str, other: &str) -> String {
        let block = self.blocks.pop_front().unwrap();
        assert!(block.contains(text), "{block}");
        let block = if text.is_empty() { block } else { block.replace(text, other) };
        let own = keyledger(self.folder.path());
        let folder = |program: &Path| program.parent().unwrap().display().to_string();
        let own = folder(Path::new(own.get_program()));
        let path = format!("{own}:{}:/usr/bin:/bin", folder(&program("psql")));
        let mut shell = Command::new("bash");
        shell.args(["-eu", "-o", "pipefail", "-c", &block]).current_dir(self.folder.path());
        let output = run(shell.env_clear().env("PATH", path).envs(&self.settings));
        assert!(output.status.success(), "{block}{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        let Self { title, blocks, .. } = self;
        assert!(blocks.is_empty() || std::thread::panicking(), "{title}: not followed: {blocks:?}");
    }
}
