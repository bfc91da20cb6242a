//! Where the processors' time goes while a load runs, drawn: `SPEED_FLAMES=1`. Needs Debian's package linux-perf.
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
/// How a stack is found without frame pointers, with so many bytes of it.
const STACKS: &str = "dwarf,16384";

/// Samples these processes, named so, until the work is done; the last run of a load is the one that stays.
pub fn drawn<T>(folder: &Path, load: &str, processes: &[(&str, Vec<i32>)], work: impl FnOnce() -> T) -> T {
    if std::env::var_os("SPEED_FLAMES").is_none() {
        return work();
    }
    let folder = folder.join("flames");
    fs::create_dir_all(&folder).unwrap();
    let samples = |name: &str| folder.join(format!("{load}-{name}.data"));
    let sampling: Vec<Child> = processes.iter().map(|(name, pids)| sample(&samples(name), pids)).collect();
    let done = work();
    for one in sampling {
        stop(one);
    }
    for (name, _) in processes {
        draw(&samples(name), &folder.join(format!("{load}-{name}.svg")), &format!("{load}: {name}"));
        fs::remove_file(samples(name)).unwrap();
    }
    done
}

fn sample(into: &Path, pids: &[i32]) -> Child {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-F", SAMPLES, "--call-graph", STACKS, "-p", &pids.join(","), "-o"]);
    perf.arg(into).stderr(Stdio::null()).spawn().expect("Debian's package linux-perf")
}

/// perf writes what it has when it is interrupted.
fn stop(mut perf: Child) {
    let asked = Command::new("kill").args(["-INT", &perf.id().to_string()]).status().unwrap();
    assert!(asked.success());
    perf.wait().unwrap();
}

fn draw(samples: &Path, picture: &Path, title: &str) {
    let mut perf = Command::new("perf");
    perf.args(["script", "--no-inline", "-i"]).arg(samples).stderr(Stdio::null());
    let script = perf.output().expect("perf").stdout;
    let mut folded = Vec::new();
    Folder::default().collapse(&script[..], &mut folded).unwrap();
    let mut options = flamegraph::Options::default();
    options.title = title.to_owned();
    flamegraph::from_reader(&mut options, &folded[..], File::create(picture).unwrap()).unwrap();
    println!("drawn: {}", picture.display());
}
