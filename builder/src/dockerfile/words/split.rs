//! The words of an expanded text: white space separates them where nothing quotes it.

/// Splits what is read into words as it comes.
#[derive(Default)]
pub(super) struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    /// Adds a character; white space ends a word.
    pub(super) fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    /// Adds the value of a variable, which may be several words.
    pub(super) fn push_split(&mut self, text: &str) {
        text.chars().for_each(|c| self.push(c));
    }

    /// Adds something whose white space does not split.
    pub(super) fn push_whole(&mut self, text: &str) {
        self.word.push_str(text);
    }

    pub(super) fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}
