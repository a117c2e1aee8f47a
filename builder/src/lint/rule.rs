//! The rules as a table: names, descriptions and where to read more, as BuildKit prints them.

/// A rule.
#[derive(PartialEq, Eq, Debug)]
pub struct Rule {
    /// The name, by which it is skipped.
    pub name: &'static str,
    /// What it asks for, whatever the Dockerfile.
    pub description: &'static str,
    /// The last part of the address of its page; BuildKit has no page for every rule.
    page: Option<&'static str>,
    /// Whether it is silent until `# check=experimental=…` asks for it.
    pub experimental: bool,
}

impl Rule {
    const fn new(name: &'static str, page: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            page: Some(page),
            experimental: false,
        }
    }

    /// Returns where to read more.
    pub fn url(&self) -> Option<String> {
        self.page
            .map(|page| format!("https://docs.docker.com/go/dockerfile/rule/{page}/"))
    }
}

/// Declares a static for each rule, and the table of all.
macro_rules! table {
    ($($name:ident = $rule:expr;)*) => {
        $(pub(super) static $name: Rule = $rule;)*

        /// Every rule, in BuildKit's order.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

table! {
    STAGE_NAME_CASING = Rule::new("StageNameCasing", "stage-name-casing", "Stage names should be lowercase");
    FROM_AS_CASING = Rule::new(
        "FromAsCasing",
        "from-as-casing",
        "The 'as' keyword should match the case of the 'from' keyword",
    );
    NO_EMPTY_CONTINUATION = Rule::new(
        "NoEmptyContinuation",
        "no-empty-continuation",
        "Empty continuation lines will become errors in a future release",
    );
    CONSISTENT_INSTRUCTION_CASING = Rule::new(
        "ConsistentInstructionCasing",
        "consistent-instruction-casing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
    );
    DUPLICATE_STAGE_NAME = Rule::new("DuplicateStageName", "duplicate-stage-name", "Stage names should be unique");
    RESERVED_STAGE_NAME = Rule::new(
        "ReservedStageName",
        "reserved-stage-name",
        "Reserved words should not be used as stage names",
    );
    JSON_ARGS_RECOMMENDED = Rule::new(
        "JSONArgsRecommended",
        "json-args-recommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    );
    MAINTAINER_DEPRECATED = Rule::new(
        "MaintainerDeprecated",
        "maintainer-deprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    );
    UNDEFINED_ARG_IN_FROM = Rule::new(
        "UndefinedArgInFrom",
        "undefined-arg-in-from",
        "FROM command must use declared ARGs",
    );
    WORKDIR_RELATIVE_PATH = Rule::new(
        "WorkdirRelativePath",
        "workdir-relative-path",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if \
         the base image changes",
    );
    UNDEFINED_VAR = Rule::new("UndefinedVar", "undefined-var", "Variables should be defined before their use");
    MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule::new(
        "MultipleInstructionsDisallowed",
        "multiple-instructions-disallowed",
        "Multiple instructions of the same type should not be used in the same stage",
    );
    LEGACY_KEY_VALUE_FORMAT = Rule::new(
        "LegacyKeyValueFormat",
        "legacy-key-value-format",
        "Legacy key/value format with whitespace separator should not be used",
    );
    INVALID_BASE_IMAGE_PLATFORM = Rule {
        page: None,
        ..Rule::new(
            "InvalidBaseImagePlatform",
            "",
            "Base image platform does not match expected target platform",
        )
    };
    REDUNDANT_TARGET_PLATFORM = Rule::new(
        "RedundantTargetPlatform",
        "redundant-target-platform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    );
    SECRETS_USED_IN_ARG_OR_ENV = Rule::new(
        "SecretsUsedInArgOrEnv",
        "secrets-used-in-arg-or-env",
        "Sensitive data should not be used in the ARG or ENV commands",
    );
    INVALID_DEFAULT_ARG_IN_FROM = Rule::new(
        "InvalidDefaultArgInFrom",
        "invalid-default-arg-in-from",
        "Default value for global ARG results in an empty or invalid base image name",
    );
    FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule::new(
        "FromPlatformFlagConstDisallowed",
        "from-platform-flag-const-disallowed",
        "FROM --platform flag should not use a constant value",
    );
    COPY_IGNORED_FILE = Rule::new(
        "CopyIgnoredFile",
        "copy-ignored-file",
        "Attempting to Copy file that is excluded by .dockerignore",
    );
    INVALID_DEFINITION_DESCRIPTION = Rule {
        experimental: true,
        ..Rule::new(
            "InvalidDefinitionDescription",
            "invalid-definition-description",
            "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If \
             this is not intended to be a description comment, add an empty line or comment between the \
             instruction and the comment.",
        )
    };
    EXPOSE_PROTO_CASING = Rule::new(
        "ExposeProtoCasing",
        "expose-proto-casing",
        "Protocol in EXPOSE instruction should be lowercase",
    );
    EXPOSE_INVALID_FORMAT = Rule::new(
        "ExposeInvalidFormat",
        "expose-invalid-format",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in \
         a future release",
    );
}
