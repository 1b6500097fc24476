//! Foreign code in a child process: it may crash, hang or leave, and harms nobody but the child.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What became of a child process.
#[derive(Debug)]
pub struct Ended {
    /// How it ended; `None` if the time was up and it was killed.
    pub status: Option<ExitStatus>,
    /// What it printed, the first megabyte of it.
    pub stdout: String,
    /// What it said on standard error, the first megabyte of it.
    pub stderr: String,
}

/// Runs a command without standard input, for so long at most.
pub fn run(mut command: Command, limit: Duration) -> std::io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // both pipes are emptied while the child runs, or it would block on a full one
    let stdout = Drain::start(child.stdout.take());
    let stderr = Drain::start(child.stderr.take());
    let status = wait(&mut child, limit)?;
    Ok(Ended { status, stdout: stdout.text(), stderr: stderr.text() })
}

/// For the child's side: no core file of a crash that is expected, and no life after the parent's.
pub fn end_quietly() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live struct; failure would only leave a core file.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // SAFETY: this form takes plain numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// `crashed with SIGSEGV`, `ended the process with code 3`.
pub fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("crashed with {}", signal_name(signal)),
        (None, Some(code)) => format!("ended the process with code {code}"),
        (None, None) => "ended the process".to_owned(),
    }
}

/// The last lines of a text that say something.
pub fn last_lines(text: &str, count: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    (!last.is_empty()).then(|| last.join("\n"))
}

/// What comes out of a pipe.
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    closed: Receiver<()>,
}

impl Drain {
    fn start(pipe: Option<impl std::io::Read + Send + 'static>) -> Self {
        const KEPT: usize = 1 << 20;
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (open, closed) = mpsc::channel();
        let filled = Arc::clone(&bytes);
        std::thread::spawn(move || {
            // dropped at the end of this thread, which tells the other side
            let _open: mpsc::Sender<()> = open;
            let Some(mut pipe) = pipe else { return };
            let mut chunk = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                let mut filled = filled.lock().unwrap_or_else(PoisonError::into_inner);
                let room = KEPT.saturating_sub(filled.len());
                filled.extend_from_slice(&chunk[..length.min(room)]);
            }
        });
        Self { bytes, closed }
    }

    /// What has come. A pipe that stays open after the child's end, because a grandchild has it, is not waited for.
    fn text(self) -> String {
        let _ = self.closed.recv_timeout(Duration::from_secs(1));
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Waits for the child; kills it when the time is up, and gives `None` then.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn signal_name(signal: i32) -> String {
    let known = [
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGTERM, "SIGTERM"),
    ];
    let name = known.iter().find(|(number, _)| *number == signal).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("signal {signal}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{how, last_lines, run};

    fn shell(script: &str, limit: Duration) -> super::Ended {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limit).expect("a shell")
    }

    #[test]
    fn ends_of_every_sort_are_told_apart() {
        let long = Duration::from_secs(20);
        let ended = shell("echo out; echo err >&2; exit 3", long);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(how(ended.status.expect("in time")), "ended the process with code 3");
        let ended = shell("kill -SEGV $$", long);
        assert_eq!(how(ended.status.expect("in time")), "crashed with SIGSEGV");
        assert!(shell("exec sleep 60", Duration::from_millis(50)).status.is_none());
        // the grandchild keeps the pipes
        assert_eq!(shell("sleep 5 & echo gone", long).stdout, "gone\n");
    }

    #[test]
    fn the_last_lines_are_those_that_say_something() {
        assert_eq!(last_lines("a\n\nb\nc\n\n", 2).as_deref(), Some("b\nc"));
        assert_eq!(last_lines("\n \n", 2), None);
    }
}
