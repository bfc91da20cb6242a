//! A wall clock that shows the wrong time and can be made to jump, for processes of the test
//! (Debian's libfaketime). Their monotonic clock goes on as it is, as on a machine whose time is
//! set.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where Debian puts the library, by machine.
const LIBRARIES: [&str; 2] = ["x86_64-linux-gnu", "aarch64-linux-gnu"];

pub struct Clock {
    folder: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A clock that is this number of seconds ahead, or behind if it is negative.
    pub fn ahead(secs: i64) -> Self {
        super::tools::need(&["libfaketime"]);
        let place = |machine| PathBuf::from(format!("/usr/lib/{machine}/faketime/libfaketimeMT.so.1"));
        let library = LIBRARIES.map(place).into_iter().find(|path| path.exists());
        let library = library.expect("no libfaketime: install Debian's package libfaketime");
        let folder = super::folder(&format!("clock-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        let clock = Self { folder, library };
        clock.jump(secs);
        clock
    }

    /// From now on it is this number of seconds ahead of the right time.
    pub fn jump(&self, secs: i64) {
        let (file, fresh) = (self.file(), self.folder.join("fresh"));
        fs::write(&fresh, format!("{secs:+}s\n")).unwrap();
        fs::rename(fresh, file).unwrap();
    }

    /// What a process that goes by it is started with.
    pub fn env(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            // A jump is felt within a second; looking at each call would slow the process down.
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// What the library leaves behind of a process that was killed.
    pub fn sweep(pid: u32) {
        for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
            let _ = fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("offset")
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
