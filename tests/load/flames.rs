//! Where the processors' time goes while a load runs, drawn: `SPEED_FLAMES=1`. Needs Debian's
//! package linux-perf.
//!
//! Sampling takes time itself, so the figures of a run that is drawn are not to be compared with others.

use inferno::{
    collapse::{Collapse, perf::Folder},
    flamegraph,
};
use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Samples a second of each processor: no divisor of the kernel's tick.
const SAMPLES: &str = "199";
/// How a stack is found without frame pointers, with this number of bytes of it.
const STACKS: &str = "dwarf,16384";

/// Draws what each of these was at until the work was done: names, and perf's filters. Of several
/// runs of one load the last stays.
pub fn drawn<T>(folder: &Path, load: &str, whose: &[(&str, String)], work: impl FnOnce() -> T) -> T {
    if std::env::var_os("SPEED_FLAMES").is_none_or(|set| set.is_empty()) {
        return work();
    }
    let folder = folder.join("flames");
    fs::create_dir_all(&folder).unwrap();
    let samples = folder.join("samples");
    // Of all processes: the server's come and go.
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-a", "-F", SAMPLES, "--call-graph", STACKS, "-o"]).arg(&samples);
    let sampling = perf.stderr(Stdio::null()).spawn().expect("Debian's package linux-perf");
    let done = work();
    stop(sampling);
    for (name, filter) in whose {
        draw(&samples, filter, &folder.join(format!("{load}-{name}.svg")), &format!("{load}: {name}"));
    }
    fs::remove_file(samples).unwrap();
    done
}

/// perf writes what it has when it is interrupted.
fn stop(mut perf: Child) {
    assert!(crate::harness::signal::send(i32::try_from(perf.id()).unwrap(), libc::SIGINT));
    perf.wait().unwrap();
}

fn draw(samples: &Path, filter: &str, picture: &Path, title: &str) {
    let mut perf = Command::new("perf");
    perf.args(["script", "--no-inline", filter, "-i"]).arg(samples).stderr(Stdio::null());
    let script = perf.output().expect("perf").stdout;
    let mut folded = Vec::new();
    Folder::default().collapse(&script[..], &mut folded).unwrap();
    let mut options = flamegraph::Options::default();
    options.title = title.to_owned();
    flamegraph::from_reader(&mut options, &folded[..], File::create(picture).unwrap()).unwrap();
    println!("drawn: {}", picture.display());
}
