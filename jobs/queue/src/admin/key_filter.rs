//! A few jobs, found by their keys and ids before anything else is asked of them.

use super::table::{JobTable, table_name};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// By how much the clock that makes ids may be ahead of the database's.
const MAX_SKEW: TimeDelta = TimeDelta::days(1);

/// Jobs by their keys or by their ids.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// With one of these keys.
    pub keys: Vec<String>,
    /// Or one of these.
    pub ids: Vec<Uuid>,
}

impl KeyFilter {
    /// ` from (…) found where `: the jobs of a table. A live job is found by its key along with its tag.
    pub(super) fn found(&self, sql: &mut QueryBuilder<Postgres>, table: JobTable, tags: &[String]) {
        if table == JobTable::Finished {
            sql.push(" from (");
            self.finished(sql);
        } else {
            sql.push(" from (select * from ").push(table_name(table));
            sql.push(" where (key = any(").push_bind(self.keys.clone()).push(")");
            if table == JobTable::Live {
                sql.push(" and tag = any(").push_bind(tags.to_vec()).push(")");
            }
            // planner fence: the jobs are found by their keys before the other conditions are looked at. Else
            // all jobs are walked in the order of the page until enough of these were met.
            sql.push(") or id = any(").push_bind(self.ids.clone()).push(") offset 0");
        }
        sql.push(") found where ");
    }

    /// Those that ended. A key or an id that tells when it was made leaves out the partitions of earlier
    /// days; one that does not is looked for in all.
    fn finished(&self, sql: &mut QueryBuilder<Postgres>) {
        let first = |id: Option<Uuid>| id.and_then(first_end).unwrap_or(DateTime::UNIX_EPOCH);
        let of_keys: Vec<_> = self.keys.iter().map(|key| first(key.parse().ok())).collect();
        let of_ids: Vec<_> = self.ids.iter().map(|id| first(Some(*id))).collect();
        sql.push("select job.* from unnest(").push_bind(self.keys.clone()).push("::text[], ");
        sql.push_bind(of_keys).push("::timestamptz[]) as of (of_key, first_end) cross join lateral (");
        // planner fence: each key opens the partitions of its own days.
        sql.push("select * from queue.finished where key = of_key and ended_at >= first_end offset 0) job");
        sql.push(" union all select job.* from unnest(").push_bind(self.ids.clone()).push("::uuid[], ");
        sql.push_bind(of_ids).push("::timestamptz[]) as of (of_id, first_end) cross join lateral (");
        sql.push("select * from queue.finished where id = of_id and ended_at >= first_end");
        // planner fence: as for keys. A job that has one of the keys as well is there already.
        sql.push(" and not key = any(").push_bind(self.keys.clone()).push(") offset 0) job");
    }
}

/// No job with this id or key ended earlier, since the id was made before. Unknown if it tells no time.
fn first_end(id: Uuid) -> Option<DateTime<Utc>> {
    let (secs, _) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(secs).ok()?, 0)?.checked_sub_signed(MAX_SKEW)
}
