//! `docker-compose.yml`: roles of the database, and passwords without a default.

use crate::harness::Database;
use farebox::storage::roles::RoleNames;
use sqlx::{Connection, PgConnection};
use std::{fs, path::Path, process::Command};

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The lines of a service, without comments.
fn service(compose: &str, name: &str) -> String {
    let from = compose.split(&format!("\n  {name}:\n")).nth(1).unwrap_or_else(|| panic!("no service {name}"));
    let lines = from
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    ") || line.starts_with("  #"));
    lines.filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_secret_is_demanded_and_none_has_a_default() {
    let compose = text("docker-compose.yml");
    let names: Vec<&str> = compose.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let image = name.starts_with("FAREBOX_POSTGRES_IMAGE:-") || name.starts_with("FAREBOX_REDIS_IMAGE:-");
        let public = name.starts_with("FAREBOX__HTTP__HOSTS:-");
        assert!(image || public || name.contains(":?"), "${{{name}}} may be left out");
    }
    // A password that is written down would stand between the user's name and the host.
    for url in compose.split("postgres://").skip(1) {
        assert!(url.split_once(':').unwrap().1.starts_with("${FAREBOX_DB_"), "{url}");
    }
}

#[test]
fn each_service_connects_as_its_role_and_none_as_the_superuser() {
    let compose = text("docker-compose.yml");
    let roles = RoleNames::default();
    let api = format!("&api-database postgres://{}:", roles.api);
    assert!(compose.contains(&api), "{api}");
    assert!(service(&compose, "api").contains("DATABASE_URL: *api-database"));
    assert!(service(&compose, "worker").contains(&format!("DATABASE_URL: postgres://{}:", roles.worker)));
    let migrate = service(&compose, "migrate");
    assert!(migrate.contains(&format!("DATABASE_URL: postgres://{}:", roles.owner)));
    assert!(migrate.contains("farebox migrate && farebox roles --apply"));
    assert!(!compose.contains("postgres://postgres") && !compose.contains("postgres://farebox:"));
    assert_eq!(compose.matches(&format!("://{}:", roles.owner)).count(), 1, "the owner only migrates");
}

/// Of compose's services and of the Dockerfile; none is left that a digest cannot be named for.
#[test]
fn each_image_is_a_variable_that_the_book_names_with_its_default() {
    let (compose, dockerfile) = (text("docker-compose.yml"), text("Dockerfile"));
    let book = text("docs/operators/install.md");
    let has_row = |name: &str, default: &str| {
        let (start, end) = (format!("| `{name}` |"), format!("| `{default}` |"));
        assert!(
            book.lines().any(|line| line.starts_with(&start) && line.ends_with(&end)),
            "{name}: {default}"
        );
    };
    for image in compose.lines().filter_map(|line| line.trim().strip_prefix("image: ")) {
        if image != "farebox" {
            let (name, default) = image.trim_matches(['$', '{', '}']).split_once(":-").expect(image);
            has_row(name, default);
        }
    }
    let from: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(from.len(), 2, "{from:?}");
    for image in from {
        let name = image.split(' ').next().unwrap().trim_matches(['$', '{', '}']);
        let default = dockerfile.split(&format!("ARG {name}=")).nth(1).expect(image).lines().next().unwrap();
        has_row(name, default);
        assert!(compose.contains(&format!("      - {name}\n")), "compose does not hand on {name}");
    }
    assert!(!dockerfile.contains("# syntax="), "the frontend would be one more image");
}

#[test]
fn a_container_of_farebox_writes_nothing_and_has_no_rights_of_root() {
    let compose = text("docker-compose.yml");
    let shared = compose.split("x-farebox: &farebox\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let bounds = [
        "read_only: true",
        "tmpfs: [\"/tmp\"]",
        "cap_drop: [\"ALL\"]",
        "security_opt: [\"no-new-privileges:true\"]",
    ];
    for bound in bounds {
        assert!(shared.lines().any(|line| line.trim() == bound), "{bound} in {shared}");
    }
    for name in ["migrate", "api", "worker"] {
        let service = service(&compose, name);
        assert!(service.contains("<<: *farebox"), "{name}");
        for key in ["read_only:", "cap_drop:", "cap_add:", "security_opt:", "privileged:", "volumes:"] {
            assert!(!service.contains(key), "{name} has {key} of its own");
        }
    }
    let image = text("Dockerfile");
    let user = image.rfind("\nUSER farebox\n").expect("a user of its own");
    assert!(image.rfind("\nFROM ").is_some_and(|stage| stage < user), "in the image that runs");
}

/// What the container of a new cluster runs, on a server of the tests.
#[tokio::test]
async fn the_roles_of_a_new_cluster_are_made_with_their_passwords() {
    let db = Database::empty().await;
    let socket = db.url.split("host=").nth(1).unwrap().split('&').next().unwrap().replace("%2F", "/");
    let name = db.url.split("5432/").nth(1).unwrap().split('?').next().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/postgres-roles.sh");
    for _ in 0..2 {
        let mut command = Command::new("bash");
        command.arg(&script).env("PGHOST", &socket).env("POSTGRES_USER", "farebox").env("POSTGRES_DB", name);
        for role in ["OWNER", "API", "WORKER", "READER"] {
            command.env(format!("FAREBOX_DB_{role}_PASSWORD"), format!("secret of {role}'s"));
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let mut conn = PgConnection::connect(&db.url).await.unwrap();
    let sql = "select count(*) from pg_authid
               where rolname in ('farebox_owner', 'farebox_api', 'farebox_worker', 'farebox_reader')
                 and rolcanlogin and rolpassword like 'SCRAM-SHA-256$%' and not rolsuper and not rolcreaterole";
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut conn).await.unwrap(), 4);
    let sql = "select datdba::regrole::text from pg_database where datname = current_database()";
    assert_eq!(sqlx::query_scalar::<_, String>(sql).fetch_one(&mut conn).await.unwrap(), "farebox_owner");
}
