//! A PostgreSQL that speaks TLS: connections are encrypted, and its certificate is verified.

use super::tls::{api, certificates};
use crate::harness::{self, Process};
use farebox::{embedded, storage};
use sqlx::PgPool;
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};
use tokio::net::{TcpListener, TcpStream};

/// Where this server alone listens; its certificate is for another name.
const ADDRESS: &str = "127.0.85.1";

/// A server that takes encrypted connections where these settings say, with the schema and the roles.
pub async fn server_with_tls(data: &Path, settings: &'static [&'static str]) -> (embedded::Server, PgPool) {
    let options = embedded::Options { data: data.to_owned(), durable: false, max_connections: 40, settings };
    let server = embedded::start(&options).await.unwrap();
    embedded::ensure_database(&server, "farebox").await.unwrap();
    let pool = storage::pool(&server.url("farebox"), &harness::settings().database, "test").unwrap();
    harness::migrate(&pool).await;
    let pg = server.folder().join("pg");
    let [_, cert, key] = certificates();
    let (owner, own_key) = (fs::metadata(&pg).unwrap(), pg.join("server.key"));
    fs::copy(key, &own_key).unwrap();
    fs::set_permissions(&own_key, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&own_key, Some(owner.uid()), Some(owner.gid())).unwrap();
    fs::write(pg.join("server.crt"), fs::read(cert).unwrap()).unwrap();
    chown(pg.join("server.crt"), Some(owner.uid()), Some(owner.gid())).unwrap();
    let rules = fs::read_to_string(pg.join("pg_hba.conf")).unwrap();
    let encrypted_only = "hostnossl all all all reject\nhostssl all all 127.0.0.0/8 trust\n";
    fs::write(pg.join("pg_hba.conf"), format!("{encrypted_only}{rules}")).unwrap();
    sqlx::query("alter system set ssl = on").execute(&pool).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(&pool).await.unwrap();
    harness::until("the server speaks TLS", async || {
        let on: String = sqlx::query_scalar("show ssl").fetch_one(&pool).await.unwrap();
        on == "on"
    })
    .await;
    (server, pool)
}

/// Hands connections on, since the certificate is for `localhost`; its port.
pub async fn localhost_before(server: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_used_over_tls_and_its_certificate_is_verified() {
    let data = harness::folder("database-tls");
    let (server, pool) = server_with_tls(&data, &["listen_addresses=127.0.85.1"]).await;
    let direct: SocketAddr = format!("{ADDRESS}:5432").parse().unwrap();
    let port = localhost_before(direct).await;
    let [ca, cert, _] = certificates();

    let url = |host: &str, mode: &str, root: &str| {
        format!("postgres://farebox@{host}/farebox?sslmode={mode}&sslrootcert={root}")
    };
    let (localhost, other_name) = (format!("localhost:{port}"), direct.to_string());
    // A name that is not the certificate's, and an authority that did not sign it.
    for (host, mode, root) in [
        (&other_name, "verify-full", &ca),
        (&localhost, "verify-full", &cert),
        (&localhost, "verify-ca", &cert),
    ] {
        let process = Process::start(api(&url(host, mode, root), &[]));
        process.wait_for_line("certificate");
        let log = process.log();
        assert!(!log.contains("listening"), "{host} {mode} {root}: {log}");
    }
    for (host, mode) in [(&localhost, "verify-full"), (&other_name, "verify-ca"), (&other_name, "require")] {
        let process = Process::start(api(&url(host, mode, &ca), &[]));
        process.wait_for_line("listening");
        let sessions = "select count(*) filter (where ssl), count(*) filter (where not ssl)
                        from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'farebox_api'";
        let (encrypted, clear): (i64, i64) = sqlx::query_as(sessions).fetch_one(&pool).await.unwrap();
        assert!(encrypted > 0 && clear == 0, "{mode}: {encrypted} encrypted, {clear} in clear");
    }
    drop(server);
    let _ = embedded::remove(&data);
    let _ = fs::remove_dir_all(&data);
}
