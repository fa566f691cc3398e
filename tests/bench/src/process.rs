//! What the kernel knows of a process: its CPU time, and the most memory that it had.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Linux tells times in hundredths of a second, whatever the kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;

/// `utime` and `stime` in /proc/PID/stat, counted from after the program's name, which ends with a parenthesis.
const UTIME: usize = 11;

/// User and system time of all the process's threads, those that have ended included.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = ticks(&stat).with_context(|| format!("{path} is not as expected"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The most bytes that were resident since the process began, or since [`forget_peak`].
pub fn peak_memory(pid: u32) -> Result<u64> {
    status(pid, "VmHWM")
}

/// What is resident now, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: u64,
    /// Of it what is the process's own: the rest is pages of files, compiled code among them, which the kernel can take back.
    pub own: u64,
}

pub fn memory(pid: u32) -> Result<Memory> {
    Ok(Memory {
        resident: status(pid, "VmRSS")?,
        own: status(pid, "RssAnon")?,
    })
}

pub fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").context(path)
}

/// Takes as many file descriptors as the system grants: each connection needs one.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        eprintln!("the limit of open files can't be raised: {error}");
    }
}

fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(UTIME).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

fn status(pid: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let kib = kib(&status, field).with_context(|| format!("{path} has no {field}"))?;
    Ok(kib * 1024)
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_after_a_name_that_looks_like_more_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 150 25 7 8 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(175));
    }

    #[test]
    fn reads_sizes_in_kib() {
        let status = "VmPeak:\t  999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t 40 kB\n";
        assert_eq!(
            (kib(status, "VmHWM"), kib(status, "VmRSS")),
            (Some(51200), Some(40))
        );
    }

    #[test]
    fn our_own_process_has_memory_and_time() {
        let pid = std::process::id();
        let memory = memory(pid).unwrap();
        assert!(memory.resident > memory.own && memory.own > 0);
        forget_peak(pid).unwrap();
        assert!(peak_memory(pid).unwrap() > 1 << 20);
        cpu_time(pid).unwrap();
    }
}
