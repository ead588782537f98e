//! Whether files can be written, without writing them.

use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{Access, access};

/// Whether this process may write a file, or make it with the folders above it. Returns whether it is there.
///
/// # Errors
/// A sentence that says why not.
pub fn check_writable(path: &Path) -> Result<bool, String> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(format!("{} is no file", path.display())),
        Ok(_) => check(path, Access::READ_OK | Access::WRITE_OK).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => check_folder(path).map(|()| false),
        Err(error) => Err(format!("{} cannot be looked at: {error}", path.display())),
    }
}

/// Whether this process may make files beside this one, with the folders above it.
///
/// # Errors
/// A sentence that says why not.
pub fn check_folder(path: &Path) -> Result<(), String> {
    let above = path.ancestors().skip(1).map(|folder| match folder {
        folder if folder == Path::new("") => Path::new("."),
        folder => folder,
    });
    for folder in above {
        match std::fs::metadata(folder) {
            Ok(found) if !found.is_dir() => {
                return Err(format!("{} is no folder", folder.display()));
            }
            Ok(_) => return check(folder, Access::WRITE_OK | Access::EXEC_OK),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{} cannot be looked at: {error}", folder.display())),
        }
    }
    Err("there is no folder for it".to_owned())
}

fn check(path: &Path, wanted: Access) -> Result<(), String> {
    access(path, wanted).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written_or_made_is_told_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(check_writable(&file), Ok(true));
        assert_eq!(check_writable(&folder.path().join("new/folders/file")), Ok(false));
        assert!(!folder.path().join("new").exists());
        assert_eq!(check_writable(Path::new("no-such-file-in-the-folder")), Ok(false));
        let below_a_file = check_writable(&file.join("file")).unwrap_err();
        assert!(below_a_file.contains("cannot be looked at"), "{below_a_file}");
        let is_folder = check_writable(folder.path()).unwrap_err();
        assert!(is_folder.ends_with("is no file"), "{is_folder}");
    }
}
