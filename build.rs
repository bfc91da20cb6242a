//! A new migration file alone makes the application build anew: the migrations are compiled in.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
