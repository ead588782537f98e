//! What every connection has in common: its settings, and the process of the server behind it.

use sqlx::postgres::PgConnection;

/// Sets what the promises depend on, so that no default of the role, the database or the server can
/// weaken them, and tells the server's process.
///
/// A statement that waits longer than this for a lock, or runs longer, is refused by the server: it
/// has changed nothing, and leaves no session behind. The time limits do not apply to a commit that
/// waits for a standby. `remote_write` stays as it is, since a standby must agree to it too.
const SET_UP: &str = "
    SELECT set_config('default_transaction_isolation', 'read committed', false),
           set_config('lock_timeout', '3s', false),
           set_config('statement_timeout', '4s', false),
           set_config('synchronous_commit',
                      CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
                           ELSE current_setting('synchronous_commit') END, false),
           pid, (extract(epoch FROM backend_start) * 1000000)::bigint
    FROM pg_stat_activity WHERE pid = pg_backend_pid()";

/// Whether a process of the server is still at work on a statement, and does not wait for its client.
const IS_AT_WORK: &str = "
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2
          AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client')";

/// A process of the server that serves one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    pid: i32,
    /// Microseconds since 1970, by the server's clock: another process may get the same id.
    started: i64,
}

pub(crate) async fn set_up(connection: &mut PgConnection) -> Result<Backend, sqlx::Error> {
    type Row = (String, String, String, String, i32, i64);
    let (_, _, _, _, pid, started): Row =
        sqlx::query_as(SET_UP).persistent(false).fetch_one(connection).await?;
    Ok(Backend { pid, started })
}

impl Backend {
    /// Whether this process is still at work. `connection` is another one to the same server.
    pub(crate) async fn is_at_work(
        self,
        connection: &mut PgConnection,
    ) -> Result<bool, sqlx::Error> {
        let answer = sqlx::query_scalar(IS_AT_WORK).bind(self.pid).bind(self.started);
        answer.fetch_one(connection).await
    }
}
