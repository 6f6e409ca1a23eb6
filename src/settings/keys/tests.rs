use std::os::unix::fs::PermissionsExt;

use crate::settings::{Inputs, load};

use super::*;

fn settings(data_dir: &Path) -> Settings {
    let inputs = Inputs {
        flags: vec![("data_dir", data_dir.to_str().unwrap().to_owned())],
        ..Inputs::default()
    };
    load(&inputs).unwrap().settings
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_private_files_and_the_second_reads_them() {
    let parent = tempfile::tempdir().unwrap();
    let data_dir = parent.path().join("a/b");
    let settings = settings(&data_dir);
    let first = load_or_create(&settings).unwrap();
    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(mode(&data_dir.join("platform-token")), 0o600);
    assert_eq!(mode(&data_dir.join("master.key")), 0o600);
    assert!(first.platform_token.expose().len() >= TOKEN_CHARACTERS_MIN);
    assert_eq!(first.master_keys.len(), 1);

    let second = load_or_create(&settings).unwrap();
    assert_eq!(second.platform_token, first.platform_token);
    assert_eq!(second.master_keys, first.master_keys);
}

#[test]
fn two_data_directories_get_different_keys() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = load_or_create(&settings(one.path())).unwrap();
    let other = load_or_create(&settings(other.path())).unwrap();
    assert_ne!(one.platform_token, other.platform_token);
    assert_ne!(one.master_keys, other.master_keys);
}

#[test]
fn first_starts_at_the_same_time_agree_on_the_keys() {
    let data_dir = tempfile::tempdir().unwrap();
    let settings = settings(data_dir.path());
    let made: Vec<Credentials> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| load_or_create(&settings).unwrap()))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    assert!(
        made.iter()
            .all(|one| one.master_keys == made[0].master_keys)
    );
    assert!(
        made.iter()
            .all(|one| one.platform_token == made[0].platform_token)
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
    let credentials = load_or_create(&settings).unwrap();
    assert_eq!(credentials.platform_token.expose(), "x".repeat(32));
    assert_eq!(credentials.master_keys, [[2; 32], [1; 32]]);
    assert_eq!(fs::read_dir(data_dir.path()).unwrap().count(), 0);
}

#[test]
fn debug_shows_neither() {
    let data_dir = tempfile::tempdir().unwrap();
    let credentials = load_or_create(&settings(data_dir.path())).unwrap();
    let shown = format!("{credentials:?}");
    assert!(
        !shown.contains(credentials.platform_token.expose()),
        "{shown}"
    );
    assert_eq!(
        shown,
        "Credentials { platform_token: [secret], master_keys: 1 }"
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
        load_or_create(&settings).unwrap();
        let path = data_dir.path().join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let error = load_or_create(&settings).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        fs::write(&path, before).unwrap();
    }
    fs::write(data_dir.path().join("master.key"), [b'x'; 5000]).unwrap();
    assert!(matches!(
        load_or_create(&settings),
        Err(Error::NoKeyFile { .. })
    ));
}

#[test]
fn a_ledger_without_its_master_key_is_refused() {
    let data_dir = tempfile::tempdir().unwrap();
    let settings = settings(data_dir.path());
    let Database::Sqlite(ledger) = &settings.database else {
        panic!("another store")
    };
    fs::write(ledger, "a ledger").unwrap();
    assert!(matches!(
        load_or_create(&settings),
        Err(Error::LostMasterKey { .. })
    ));
    assert!(!data_dir.path().join("master.key").exists());
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
