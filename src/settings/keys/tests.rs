use std::os::unix::fs::PermissionsExt;

use crate::settings::{self, Inputs};

use super::*;

fn settings(data_dir: &Path) -> Settings {
    let inputs = Inputs {
        flags: vec![("data_dir", data_dir.to_str().unwrap().to_owned())],
        ..Inputs::default()
    };
    settings::load(&inputs).unwrap().settings
}

/// What a start on a new ledger takes or makes.
fn load(settings: &Settings) -> Result<(SecretText, MasterKeys), Error> {
    let token = load_or_create_token(settings)?;
    Ok((token, load_or_create_master_keys(settings, true)?))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_private_files_and_the_second_reads_them() {
    let parent = tempfile::tempdir().unwrap();
    let data_dir = parent.path().join("a/b");
    let settings = settings(&data_dir);
    let first = load(&settings).unwrap();
    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(mode(&data_dir.join("platform-token")), 0o600);
    assert_eq!(mode(&data_dir.join("master.key")), 0o600);
    let (token, keys) = first;
    assert!(token.expose().len() >= TOKEN_CHARACTERS_MIN);
    assert_eq!(keys.keys.len(), 1);

    let second = load(&settings).unwrap();
    assert_eq!((second.0, second.1.keys), (token, keys.keys));
}

#[test]
fn two_data_directories_get_different_keys() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = load(&settings(one.path())).unwrap();
    let other = load(&settings(other.path())).unwrap();
    assert_ne!(one.0, other.0);
    assert_ne!(one.1.keys, other.1.keys);
}

#[test]
fn first_starts_at_the_same_time_agree_on_the_keys() {
    let data_dir = tempfile::tempdir().unwrap();
    let settings = settings(data_dir.path());
    let made: Vec<(SecretText, MasterKeys)> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| load(&settings).unwrap()))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let (token, keys) = &made[0];
    assert!(
        made.iter()
            .all(|one| one.0 == *token && one.1.keys == keys.keys)
    );
}

#[test]
fn what_is_set_is_not_written() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut settings = settings(data_dir.path());
    settings.platform_token = Some(SecretText::from("x".repeat(32)));
    settings.master_key = Some(SecretText::from(format!(
        "{},{}",
        STANDARD.encode([2; 32]),
        STANDARD.encode([1; 32])
    )));
    let (token, keys) = load(&settings).unwrap();
    assert_eq!(token.expose(), "x".repeat(32));
    assert_eq!(keys.keys, [[2; 32], [1; 32]]);
    assert!(keys.file.is_none());
    assert_eq!(fs::read_dir(data_dir.path()).unwrap().count(), 0);
}

#[test]
fn debug_shows_neither() {
    let data_dir = tempfile::tempdir().unwrap();
    let (token, keys) = load(&settings(data_dir.path())).unwrap();
    let path = data_dir.path().join("master.key");
    assert_eq!(
        format!("{token:?} {keys:?}"),
        format!("[secret] MasterKeys {{ keys: 1, file: Some({path:?}) }}")
    );
}

#[test]
fn a_damaged_file_is_refused_with_its_name_and_not_replaced() {
    let data_dir = tempfile::tempdir().unwrap();
    let settings = settings(data_dir.path());
    for (file, content) in [
        ("platform-token", "short"),
        ("platform-token", ""),
        ("master.key", ""),
        ("master.key", "bm90IDMyIGJ5dGVz"),
    ] {
        load(&settings).unwrap();
        let path = data_dir.path().join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let error = load(&settings).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        fs::write(&path, before).unwrap();
    }
    fs::write(data_dir.path().join("master.key"), [b'x'; 5000]).unwrap();
    assert!(matches!(load(&settings), Err(Error::NoKeyFile { .. })));
}

#[test]
fn a_ledger_without_its_master_key_is_refused() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut settings = settings(data_dir.path());
    for (database, named) in [
        (settings.database.clone(), "hookledger.db exists"),
        (
            Database::parse("postgres://u:hunter2@x/y").unwrap(),
            "in PostgreSQL exists",
        ),
    ] {
        settings.database = database;
        let error = load_or_create_master_keys(&settings, false).unwrap_err();
        assert!(matches!(error, Error::LostMasterKey { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(named) && !said.contains("hunter2"), "{said}");
    }
    assert_eq!(fs::read_dir(data_dir.path()).unwrap().count(), 0);
    let made = load(&settings).unwrap().1.keys;
    let read = load_or_create_master_keys(&settings, false).unwrap();
    assert_eq!(read.keys, made);
}

fn key_file(settings: &Settings) -> MasterKeyFile {
    load(settings).unwrap().1.file.unwrap()
}

#[test]
fn a_rotation_keeps_both_keys_until_it_ends() {
    let data_dir = tempfile::tempdir().unwrap();
    let settings = settings(data_dir.path());
    let old = load(&settings).unwrap().1.keys[0];
    let file = key_file(&settings);
    let both = file.begin_rotation().unwrap();
    assert!(both.len() == 2 && both[0] != old && both[1] == old);
    assert_eq!(load(&settings).unwrap().1.keys, both);
    assert_eq!(mode(file.path()), 0o600);
    // One that was cut off is gone on with, also by the next process.
    assert_eq!(file.begin_rotation().unwrap(), both);
    assert_eq!(key_file(&settings).begin_rotation().unwrap(), both);
    assert_eq!(file.end_rotation().unwrap(), both[..1]);
    assert_eq!(load(&settings).unwrap().1.keys, both[..1]);
    assert_eq!(file.end_rotation().unwrap(), both[..1]);
    let next = file.begin_rotation().unwrap();
    assert!(next.len() == 2 && next[1] == both[0]);
    let mut left: Vec<_> = fs::read_dir(data_dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["keys.lock", "master.key", "platform-token"]);
}

#[test]
fn a_file_that_somebody_else_has_changed_is_left_alone() {
    let data_dir = tempfile::tempdir().unwrap();
    let settings = settings(data_dir.path());
    let file = key_file(&settings);
    let other = STANDARD.encode([9; 32]);
    fs::write(file.path(), &other).unwrap();
    assert!(matches!(file.begin_rotation(), Err(Error::Changed { .. })));
    assert!(matches!(file.end_rotation(), Err(Error::Changed { .. })));
    assert_eq!(fs::read_to_string(file.path()).unwrap(), other);
    fs::remove_file(file.path()).unwrap();
    assert!(matches!(file.begin_rotation(), Err(Error::Changed { .. })));
    assert!(!file.path().exists());
}

#[test]
fn tokens_that_are_guessable_or_no_header_are_refused() {
    assert_eq!(check_token(&"x".repeat(32)), Ok(()));
    assert_eq!(
        check_token(&"x".repeat(31)),
        Err(InvalidToken::Length { characters: 31 })
    );
    assert!(check_token(&"x".repeat(513)).is_err());
    for character in [' ', '\n', '\0', 'é'] {
        let token = format!("{}{character}", "x".repeat(40));
        assert_eq!(check_token(&token), Err(InvalidToken::Characters));
    }
}

#[test]
fn a_wrong_master_key_is_named_by_its_number() {
    let good = STANDARD.encode([1; 32]);
    for (text, wrong) in [
        (String::new(), 1),
        ("zzz".to_owned(), 1),
        (format!("{good},{}", STANDARD.encode([1; 31])), 2),
        (format!("{good},"), 2),
    ] {
        assert_eq!(
            parse_master_keys(&text),
            Err(InvalidMasterKey::Key { number: wrong }),
            "{text}"
        );
    }
    assert_eq!(
        parse_master_keys(&format!("{good},{good}")),
        Err(InvalidMasterKey::Repeated { number: 2 })
    );
}
