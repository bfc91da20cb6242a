//! The figures that every Prometheus client shows of its process, read from `/proc`; none where
//! there is no such folder. The names are Prometheus's own.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};
use std::{fmt, fs};

/// Shows the figures of this process.
#[derive(Debug)]
pub(super) struct ProcessMetrics;

/// What `/proc` says of this process.
struct Figures {
    cpu_secs: f64,
    resident_bytes: f64,
    open_fds: i64,
    max_fds: i64,
    /// Seconds since 1970.
    started_at: f64,
}

impl Figures {
    /// `None` if a file is missing or reads otherwise than proc(5) says.
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program may hold blanks and parentheses; its last one ends it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // The field of this number in proc(5); the third comes first.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        #[expect(clippy::cast_precision_loss, reason = "both are small")]
        let (ticks, page) = (clock_ticks_per_second() as f64, page_size() as f64);
        let system = fs::read_to_string("/proc/stat").ok()?;
        let booted = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse::<f64>().ok()?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count();
        let limit = getrlimit(Resource::Nofile).current;
        Some(Self {
            cpu_secs: (field(14)? + field(15)?) / ticks,
            resident_bytes: field(24)? * page,
            // Without the one that reads the folder.
            open_fds: i64::try_from(open).ok()? - 1,
            max_fds: limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX),
            started_at: booted + field(22)? / ticks,
        })
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(figures) = Figures::read() else { return Ok(()) };
        // prometheus-client adds `_total` itself.
        let help = "Processor time of this process, in user and system mode, seconds";
        let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(figures.cpu_secs).encode(cpu)?;
        let gauges: [(&str, &str, &dyn EncodeMetric); 4] = [
            (
                "process_resident_memory_bytes",
                "Resident memory, bytes",
                &ConstGauge::new(figures.resident_bytes),
            ),
            (
                "process_start_time_seconds",
                "When the process began, seconds since 1970",
                &ConstGauge::new(figures.started_at),
            ),
            ("process_open_fds", "Open file descriptors", &ConstGauge::new(figures.open_fds)),
            (
                "process_max_fds",
                "File descriptors that the process may open",
                &ConstGauge::new(figures.max_fds),
            ),
        ];
        for (name, help, gauge) in gauges {
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_this_process_make_sense() {
        let figures = Figures::read().expect("/proc of Linux");
        assert!(figures.cpu_secs >= 0.0 && figures.resident_bytes > 1e6, "{}", figures.resident_bytes);
        assert!((3..figures.max_fds).contains(&figures.open_fds), "{}", figures.open_fds);
        // After 2020, so not the time since the machine started.
        assert!(figures.started_at > 1.58e9, "{}", figures.started_at);
    }
}
