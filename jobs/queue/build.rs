//! Lists the migrations, so that a new file alone is compiled in. Queries are checked against the
//! recorded query data: a `DATABASE_URL` in the environment of a build is a program's, and may have
//! no queue yet.

use std::{env, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SQLX_OFFLINE");
    if env::var_os("SQLX_OFFLINE").is_none() {
        println!("cargo:rustc-env=SQLX_OFFLINE=true");
    }
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("migrations");
    let mut files: Vec<String> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    files.retain(|name| Path::new(name).extension().is_some_and(|end| end == "sql"));
    files.sort();
    let mut list = String::from("&[");
    for file in files {
        let version: i32 = file
            .split('_')
            .next()
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| io::Error::other(format!("{file}: no number")))?;
        let path = folder.join(&file);
        println!("cargo:rerun-if-changed={}", path.display());
        let _ = write!(list, "({version}, include_str!({path:?})), ");
    }
    list.push(']');
    let out = Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("migrations.rs");
    fs::write(out, list)?;
    Ok(())
}
