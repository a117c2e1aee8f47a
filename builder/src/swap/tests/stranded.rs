//! What is said of files of the container that cannot be put back, and that they are once they can.

use super::*;

/// Moves everything but what has this name.
struct Stuck(&'static str);

impl Rename for Stuck {
    fn shift(&self, from: Entry<'_>, to: Entry<'_>) -> Result<(), Errno> {
        if from.1 == self.0 {
            return Err(Errno::BUSY);
        }
        KERNEL.shift(from, to)
    }

    fn replace(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno> {
        KERNEL.replace(dir, from, to)
    }
}

#[test]
fn what_cannot_be_put_back_is_told_with_where_it_lies() {
    // One of the container's, and one of the tree's that is in its way.
    for (name, kept) in [("bin", "own/1/bin"), ("opt", "own/1")] {
        let container = Container::new();
        let own = container.files("place");
        let (stash, stash_path) = (container.stash(), container.path("place/.croze/swap"));
        let dir = fs::File::open(&stash_path).unwrap();
        let turn = stash.turn().unwrap().unwrap();
        turn.exchange(container.slots()).unwrap();
        let exchange = Exchange {
            stash: dir.as_fd(),
            shown: &stash_path,
            rename: &Stuck(name),
        };
        let error = exchange.restore().unwrap_err();
        let SwapError::Stranded { path, kept: told, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*path, container.path("place").join(name));
        assert_eq!(*told, stash_path.join(kept));
        assert!(if name == "bin" { told.clone() } else { told.join("bin") }.exists());
        drop(turn);
        let _turn = stash.turn().unwrap().unwrap();
        assert_eq!(container.files("place"), own);
    }
}
