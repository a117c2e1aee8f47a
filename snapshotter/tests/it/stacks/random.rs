//! Random changes to random trees, in both ways.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use snapshotter::Stacking;

use super::{Workshop, name};
use crate::roundtrip::{Step, a_step, a_tree, perform};
use crate::tree::{self, Kind, Tree};

/// Removes what the kernel's overlay does differently: it breaks hard links when a name is written to.
fn without_links(mut tree: Tree) -> Tree {
    tree.retain(|_, node| !matches!(node.kind, Kind::HardLink(_)));
    tree
}

/// Returns whether a step is the same in a file system that cannot rename directories of lower layers.
fn is_for_both(step: &Step, top: &Path) -> bool {
    !step.renames() || !fs::symlink_metadata(step.target(top)).unwrap().is_dir()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_are_the_same_layer(
        base in a_tree(25).prop_map(without_links),
        steps in proptest::collection::vec(a_step(), 1..15),
    ) {
        let [overlay, flat] = [Stacking::Overlay, Stacking::Flat].map(|stacking| {
            let workshop = Workshop::new(stacking);
            let bottom = workshop.base("base", |top| tree::write(top, &base));
            let chain = workshop.step(&[bottom], "step", |top| {
                for step in steps.iter() {
                    if is_for_both(step, top) {
                        perform(top, step);
                    }
                }
            });
            let seen = workshop.seen(&chain);
            assert_eq!(seen, super::seen(&workshop.other(), &chain));
            (super::members(&workshop.packed(&name("step"))), workshop.packed(&name("step")), seen)
        });
        prop_assert_eq!(&flat.0, &overlay.0);
        prop_assert!(flat.1 == overlay.1, "the layers differ in more than names");
        prop_assert_eq!(flat.2, overlay.2);
    }

    #[test]
    fn random_layers_are_the_same_tree(layers in proptest::collection::vec(a_tree(15), 2..5)) {
        let [overlay, flat] = [Stacking::Overlay, Stacking::Flat].map(|stacking| {
            let workshop = Workshop::new(stacking);
            let chain: Vec<_> = layers
                .iter()
                .enumerate()
                .map(|(number, layer)| workshop.base(&format!("layer-{number}"), |top| tree::write(top, layer)))
                .collect();
            workshop.seen(&chain)
        });
        prop_assert_eq!(flat, overlay);
    }
}
