//! The command line of benchmarks: names of what to measure, and options that have a value each.

/// What was typed behind `cargo bench … --`.
pub(crate) struct Arguments {
    /// What is not an option.
    pub(crate) names: Vec<String>,
    options: Vec<(String, String)>,
}

impl Arguments {
    /// Reads those of this process.
    ///
    /// # Panics
    /// If an option has no value.
    pub(crate) fn of_process() -> Self {
        let (mut names, mut options) = (Vec::new(), Vec::new());
        // cargo says that it runs benchmarks.
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some(option) => {
                    let value = words.next().unwrap_or_else(|| panic!("`{word}` needs a value"));
                    options.push((option.to_owned(), value));
                }
                None => names.push(word),
            }
        }
        Self { names, options }
    }

    /// Returns the value of an option, without its dashes, if it was given.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rfind(|(option, _)| option == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns how often to measure.
    ///
    /// # Panics
    /// If it was given and is no number.
    pub(crate) fn rounds(&self) -> Option<usize> {
        self.option("rounds")
            .map(|rounds| rounds.parse().expect("a number of rounds"))
    }
}
