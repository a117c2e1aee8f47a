//! Row D1 of the threat table, in ordinary tests: what the fuzzer kept is replayed, and changed at random, the same in every
//! run. `CROZE_FUZZ_TIMES=100` tries a hundred times as many; `fuzz/run.sh` tries what reaches something new.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, panic};

use fuzz::changes::{Random, change};
use fuzz::{TARGETS, Target};

/// The longest that one input may take, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(5);

fn corpus(target: &Target) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|_| panic!("`{}` is missing", directory.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    paths.sort();
    assert!(paths.len() > 5, "`{}` is no corpus", directory.display());
    paths
}

fn check(target: &Target, input: &[u8], what: &str) {
    let begun = Instant::now();
    if panic::catch_unwind(|| (target.check)(input)).is_err() {
        panic!(
            "{} fails for {what}: {:?}",
            target.name,
            input.escape_ascii().to_string()
        );
    }
    assert!(begun.elapsed() < LONGEST, "{}: {what} takes too long", target.name);
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let mut inputs = vec![Vec::new()];
    for path in corpus(target) {
        let input = fs::read(&path).expect("a file can be read");
        check(target, &input, &path.display().to_string());
        inputs.push(input);
    }
    let times = std::env::var("CROZE_FUZZ_TIMES")
        .ok()
        .and_then(|times| times.parse().ok());
    for seed in 0..u64::from(target.cases) * times.unwrap_or(1) {
        let input = change(&inputs, target.longest, &mut Random::new(seed));
        check(target, &input, "a changed input");
    }
}

/// One test for each target, so that they run beside each other and each has its own result.
macro_rules! replayed {
    ($($test:ident: $target:literal;)*) => {
        $(
            #[test]
            fn $test() {
                replay($target);
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($target),*]);
        }
    };
}

replayed! {
    d1_dockerfiles_are_read_or_refused: "parse";
    d1_substitution_expands_as_it_should: "words";
    d1_ignore_files_decide_as_defined: "ignore";
    d1_headers_of_servers_lead_nowhere_else: "header";
    d1_documents_of_registries_are_read_or_refused: "document";
    d1_references_are_the_same_in_their_full_form: "reference";
    d1_certificates_are_read_or_not: "certificate";
    d1_compressed_streams_end: "compressed";
    d1_lists_of_refs_name_what_is_in_them: "references";
    d1_entries_of_caches_are_what_they_claim: "cache";
    d1_files_of_credentials_are_read_or_refused: "credentials";
    d1_registries_conf_is_read_or_refused: "registries";
    d1_addresses_are_no_options_and_lead_into_no_other_directory: "address";
    d1_policies_come_to_a_decision: "policy";
    d1_specifications_of_devices_are_read_or_refused: "devices";
    d1_layouts_are_read_or_refused: "layout";
    d1_options_are_read_or_refused: "options";
    d1_damage_of_the_store_is_found: "state";
    d1_archives_stay_inside_and_say_the_same_again: "archive";
    d1_attributes_of_files_are_read_or_refused: "attributes";
    d1_accounts_have_ids_that_fit: "accounts";
    d1_programs_name_what_is_in_them: "program";
    d1_statements_are_read_or_refused: "statement";
}
