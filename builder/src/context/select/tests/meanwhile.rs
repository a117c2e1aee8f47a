//! A tree in which others work while it is walked.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn what_comes_and_goes_meanwhile_spoils_no_selection() {
    let world = World::new(&["dir/file"]);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let links: Vec<_> = (0..50)
                .map(|number| world.0.path().join(format!("dir/{number}")))
                .collect();
            while !over.load(Ordering::Relaxed) {
                links.iter().for_each(|link| symlink("x", link).unwrap());
                links.iter().for_each(|link| fs::remove_file(link).unwrap());
            }
        });
        let selected: Vec<_> = (0..300).map(|_| world.select("dir", &[])).collect();
        over.store(true, Ordering::Relaxed);
        for selected in selected {
            assert!(selected.unwrap().contains(&"dir/file".to_owned()));
        }
    });
}
