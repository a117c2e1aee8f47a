//! The eighteen instruction keywords.

use crate::diagnostic::nearest;

/// An instruction keyword; written in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is the instruction of its name")]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
}

const KEYWORDS: [(&str, Keyword); 18] = [
    ("ADD", Keyword::Add),
    ("ARG", Keyword::Arg),
    ("CMD", Keyword::Cmd),
    ("COPY", Keyword::Copy),
    ("ENTRYPOINT", Keyword::Entrypoint),
    ("ENV", Keyword::Env),
    ("EXPOSE", Keyword::Expose),
    ("FROM", Keyword::From),
    ("HEALTHCHECK", Keyword::Healthcheck),
    ("LABEL", Keyword::Label),
    ("MAINTAINER", Keyword::Maintainer),
    ("ONBUILD", Keyword::Onbuild),
    ("RUN", Keyword::Run),
    ("SHELL", Keyword::Shell),
    ("STOPSIGNAL", Keyword::StopSignal),
    ("USER", Keyword::User),
    ("VOLUME", Keyword::Volume),
    ("WORKDIR", Keyword::Workdir),
];

impl Keyword {
    /// Finds the keyword of a word, whatever its case.
    pub fn of(word: &str) -> Option<Self> {
        KEYWORDS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map(|(_, keyword)| *keyword)
    }

    /// Returns the keyword that a misspelt word probably means, and how the writer would spell it.
    pub fn near(word: &str) -> Option<(Self, String)> {
        let upper = word.to_uppercase();
        let name = nearest(&upper, KEYWORDS.iter().map(|(name, _)| *name))?;
        let shown = if word == word.to_lowercase() {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        Self::of(name).map(|keyword| (keyword, shown))
    }

    /// Returns the name in upper case.
    pub fn name(self) -> &'static str {
        KEYWORDS
            .iter()
            .find(|(_, keyword)| *keyword == self)
            .map_or("", |(name, _)| name)
    }

    /// Returns whether its shell form can open heredocs.
    pub fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_found_in_any_case_and_when_misspelt() {
        assert_eq!(Keyword::of("healthCheck"), Some(Keyword::Healthcheck));
        assert_eq!(Keyword::of("RUNN"), None);
        assert_eq!(Keyword::near("RUNN"), Some((Keyword::Run, "RUN".to_owned())));
        assert_eq!(Keyword::near("frm"), Some((Keyword::From, "from".to_owned())));
        assert_eq!(Keyword::near("RSYNC"), None);
        assert_eq!(Keyword::StopSignal.name(), "STOPSIGNAL");
    }
}
