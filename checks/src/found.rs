//! What is told of a place.

/// What was found at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is there, such as `PostgreSQL`.
    pub kind: &'static str,
    /// Where it is: an address or a path, without anything secret; empty if it is in the configuration.
    pub place: String,
    /// The server's version, if it tells one.
    pub version: Option<String>,
    /// Whether the connection to a server is encrypted; `None` if there is none, or that is not known.
    pub is_encrypted: Option<bool>,
    /// Whether the service may write there; `None` if that is not known.
    pub is_writable: Option<bool>,
    /// The tables there; `None` if they are not known, or there are none.
    pub migrations: Option<Migrations>,
    /// What else is good to know, in words.
    pub notes: Vec<String>,
    /// Why the service would not work with it, in words; empty if it would.
    pub problems: Vec<String>,
}

/// How far the tables of a database are in the form that this version needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrations {
    /// How many this version has.
    pub known: usize,
    /// How many of them are not applied yet. The service applies them at its start.
    pub pending: usize,
}

impl Found {
    /// A place of this kind, of which nothing else is known yet.
    #[must_use]
    pub fn at(kind: &'static str, place: impl Into<String>) -> Self {
        Self { kind, place: place.into(), ..Self::default() }
    }

    /// The same with this problem.
    #[must_use]
    pub fn with_problem(mut self, problem: impl Into<String>) -> Self {
        self.problems.push(problem.into());
        self
    }

    /// The same with this note.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}
