//! Which privileges of `grants.sql` a session's role lacks.

use super::GRANTS;
use sqlx::PgPool;

/// Privileges that are named at most; one that is missing mostly has many beside it.
const MAX_NAMED: i64 = 5;

/// A privilege on an object, or on one of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Privilege {
    /// `table` or `function`.
    kind: &'static str,
    object: String,
    word: String,
    column: Option<String>,
}

/// What this session's role may not do although the program that connects as it needs to, as
/// `update on payment (state)`; at most five.
///
/// # Errors
/// The database's.
pub async fn lacking(pool: &PgPool, is_worker: bool) -> Result<Vec<String>, sqlx::Error> {
    let wanted = privileges(GRANTS, if is_worker { "{worker}" } else { "{api}" });
    let column = |one: &Privilege| one.column.clone();
    sqlx::query_scalar(
        "select word || ' on ' || object || coalesce(' (' || part || ')', '')
         from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as wanted(kind, object, word, part)
         where not coalesce(
             case when kind = 'function' then has_function_privilege(to_regprocedure(object), word)
                  when part is null then has_table_privilege(to_regclass(object), word)
                  else has_column_privilege(to_regclass(object), part, word) end, false)
         limit $5",
    )
    .bind(wanted.iter().map(|one| one.kind).collect::<Vec<_>>())
    .bind(wanted.iter().map(|one| one.object.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|one| one.word.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(column).collect::<Vec<_>>())
    .bind(MAX_NAMED)
    .fetch_all(pool)
    .await
}

/// The privileges that the text grants to a role, named as in its template.
fn privileges(text: &str, role: &str) -> Vec<Privilege> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
    let code = lines.collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some(grant) = statement.trim().strip_prefix("grant ") else { continue };
        let Some((what, roles)) = grant.rsplit_once(" to ") else { continue };
        let Some((words, objects)) = what.split_once(" on ") else { continue };
        if !roles.split(',').any(|one| one.trim() == role) {
            continue;
        }
        let (kind, objects) = match objects.trim().split_once(' ') {
            Some(("function", functions)) => ("function", functions),
            Some(("schema" | "database", _)) => continue,
            _ => ("table", objects),
        };
        for object in listed(objects) {
            for word in listed(words) {
                let (word, columns) = word.split_once('(').unwrap_or((word, ""));
                let columns = columns.trim_end_matches(')');
                let one = |column: Option<&str>| Privilege {
                    kind,
                    object: object.to_owned(),
                    word: word.trim().to_owned(),
                    column: column.map(str::to_owned),
                };
                match columns {
                    "" => found.push(one(None)),
                    columns => found.extend(columns.split(',').map(|column| one(Some(column.trim())))),
                }
            }
        }
    }
    found
}

/// The items of a list whose commas are not within parentheses.
fn listed(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut from) = (Vec::new(), 0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    items.extend(text.get(from..));
    items.into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::RoleNames, *};

    #[test]
    fn grants_are_read_by_role_object_and_column() {
        let text = "-- grant all on nothing to {api};\ngrant usage on schema public to {api};\n\
                    grant select, update (a, b) on one, two.three to {api}, {reader};\n\
                    grant execute on function f(int[], text), g() to {worker};";
        let words = |role: &str| {
            privileges(text, role)
                .iter()
                .map(|one| format!("{} {} {:?}", one.word, one.object, one.column))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            words("{api}"),
            [
                "select one None",
                "update one Some(\"a\")",
                "update one Some(\"b\")",
                "select two.three None",
                "update two.three Some(\"a\")",
                "update two.three Some(\"b\")",
            ]
        );
        assert_eq!(words("{worker}"), ["execute f(int[], text) None", "execute g() None"]);
        let names = RoleNames::default();
        assert!(privileges(&names.grants_sql(), &names.api).len() > 200, "of the file itself");
    }
}
