use clap::{CommandFactory, Parser};

use super::*;

fn exit_code_of(arguments: &[&str]) -> i32 {
    match Cli::try_parse_from(arguments) {
        Ok(_) => 0,
        Err(error) => error.exit_code(),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_setting_is_a_flag_of_each_command_that_needs_settings() {
    for command in [
        &["hookledger"][..],
        &["hookledger", "serve"],
        &["hookledger", "config"],
        &["hookledger", "demo"],
        &[
            "hookledger",
            "copy",
            "--from",
            "sqlite:a",
            "--to",
            "sqlite:b",
        ],
        &["hookledger", "tenant", "list"],
        &["hookledger", "token", "list", "--tenant", "acme"],
        &["hookledger", "audit", "verify"],
        &["hookledger", "audit", "export"],
    ] {
        for definition in settings::TABLE {
            let flag = format!("--{}", definition.flag());
            let arguments = [command, &[flag.as_str(), "true"]].concat();
            assert_eq!(exit_code_of(&arguments), 0, "{arguments:?}");
        }
        let arguments = [command, &["--config", "x.toml"]].concat();
        assert_eq!(exit_code_of(&arguments), 0, "{arguments:?}");
    }
}

#[test]
fn wrong_usage_is_told_from_help() {
    assert_eq!(exit_code_of(&["hookledger", "--nonsense"]), 2);
    assert_eq!(exit_code_of(&["hookledger", "nonsense"]), 2);
    assert_eq!(
        exit_code_of(&["hookledger", "--listen", "127.0.0.1:1", "serve"]),
        2
    );
    assert_eq!(exit_code_of(&["hookledger", "tenant", "set", "acme"]), 2);
    let both = [
        "hookledger",
        "tenant",
        "set",
        "acme",
        "--suspend",
        "--resume",
    ];
    assert_eq!(exit_code_of(&both), 2);
    let role = [
        "hookledger",
        "token",
        "create",
        "--tenant",
        "a",
        "--name",
        "n",
        "--role",
        "god",
    ];
    assert_eq!(exit_code_of(&role), 2);
    assert_eq!(
        exit_code_of(&["hookledger", "copy", "--from", "sqlite:a"]),
        2
    );
    let seal = format!("1.42.{}", "ab".repeat(32));
    let verify = ["hookledger", "audit", "verify"];
    for (rest, code) in [
        (&["--seal", &seal][..], 0),
        (&["--seal", "1.42"], 2),
        (&["--seal", &seal, "--tenant", "acme"], 2),
        (&["--public-key", "k", "--tenant", "acme"], 2),
        (&["--tenant", "A B"], 2),
    ] {
        assert_eq!(exit_code_of(&[&verify, rest].concat()), code, "{rest:?}");
    }
    assert_eq!(exit_code_of(&["hookledger", "--help"]), 0);
    assert_eq!(exit_code_of(&["hookledger", "--version"]), 0);
}

#[test]
fn a_switch_needs_no_value() {
    assert_eq!(
        exit_code_of(&["hookledger", "serve", "--allow-http", "--dev"]),
        0
    );
}

#[test]
fn parsed_arguments_do_not_show_secrets() {
    for arguments in [
        &["hookledger", "serve", "--platform-token", "hunter2"][..],
        &["hookledger", "tenant", "list", "--token", "hunter2"],
        &["hookledger", "listen", "--secret", "hunter2"],
        &["hookledger", "copy", "--from", "hunter2", "--to", "hunter2"],
    ] {
        let shown = format!("{:?}", Cli::try_parse_from(arguments).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_report_has_each_cause_once() {
    let cause = || io::Error::other("the disk is full");
    let with_cause = Error::System {
        what: "writing",
        source: cause(),
    };
    assert_eq!(with_cause.report(), "writing: the disk is full");
    let key = settings::keys::Error::File {
        path: "master.key".into(),
        source: cause(),
    };
    assert_eq!(Error::from(key).report(), "master.key: the disk is full");
}
