//! Files and scripts written into the Dockerfile.

use super::{Files, builds, lab, pushed};

#[test]
fn files_in_the_dockerfile_are_copied() {
    // BK-131
    let out = Files::of(
        "FROM BASE/busybox AS build\nRUN echo user:x:1000:1000::: >> /etc/passwd && echo user:x:1000: >> /etc/group\n\
         WORKDIR /dest\nCOPY <<EOF single\nsingle file\nEOF\nCOPY <<EOF <<EOF2 double/\nfirst file\nEOF\nsecond file\n\
         EOF2\nRUN mkdir -p /permfiles\nCOPY --chmod=777 <<EOF /permfiles/all\ndummy content\nEOF\n\
         COPY --chmod=0644 <<EOF /permfiles/rw\ndummy content\nEOF\nCOPY --chown=user:user <<EOF /permfiles/owned\n\
         dummy content\nEOF\nRUN stat -c '%04a' /permfiles/all >> perms && stat -c '%04a' /permfiles/rw >> perms && \
         stat -c '%U:%G' /permfiles/owned >> perms\nFROM scratch\nCOPY --from=build /dest /\n",
        &[],
        &[],
    );
    for (path, content) in [
        ("single", "single file\n"),
        ("double/EOF", "first file\n"),
        ("double/EOF2", "second file\n"),
        ("perms", "0777\n0644\nuser:user\n"),
    ] {
        assert_eq!(out.read(path), content, "{path}");
    }
}

#[test]
fn special_symbols_keep_their_meaning_in_files() {
    // BK-132
    let out = Files::of(
        "FROM scratch\nCOPY <<EOF quotefile\n\"quotes in file\"\nEOF\nCOPY <<EOF slashfile1\n\\\nEOF\n\
         COPY <<EOF slashfile2\n\\\\\nEOF\nCOPY <<EOF slashfile3\n\\$\nEOF\nCOPY <<\"EOF\" rawslashfile1\n\\\nEOF\n\
         COPY <<\"EOF\" rawslashfile2\n\\\\\nEOF\nCOPY <<\"EOF\" rawslashfile3\n\\$\nEOF\n",
        &[],
        &[],
    );
    for (path, content) in [
        ("quotefile", "\"quotes in file\"\n"),
        ("slashfile1", "\n"),
        ("slashfile2", "\\\n"),
        ("slashfile3", "$\n"),
        ("rawslashfile1", "\\\n"),
        ("rawslashfile2", "\\\\\n"),
        ("rawslashfile3", "\\$\n"),
    ] {
        assert_eq!(out.read(path), content, "{path}");
    }
}

#[test]
fn a_script_is_given_to_the_shell_or_to_its_own_interpreter() {
    // BK-133 BK-134 BK-135 BK-136
    let out = Files::of(
        "FROM BASE/busybox AS build\nRUN <<EOF\necho \"i am\" >> /basic\nid -un >> /basic\nEOF\n\
         RUN <<EOF\n#!/bin/awk -f\nBEGIN {\n  print \"foo\" > \"/shebang\"\n}\nEOF\n\
         RUN <<-EOF\n\t#!/bin/awk -f\n\tBEGIN {\n\t  print \"bar\" > \"/tabbed\"\n\t}\n\tEOF\n\
         SHELL [\"/bin/awk\"]\nRUN <<EOF\nBEGIN {\n  print \"foo\" > \"/shell\"\n}\nEOF\n\
         FROM scratch\nCOPY --from=build /basic /shebang /tabbed /shell /\n",
        &[],
        &[],
    );
    for (path, content) in [
        ("basic", "i am\nroot\n"),
        ("shebang", "foo\n"),
        ("tabbed", "bar\n"),
        ("shell", "foo\n"),
    ] {
        assert_eq!(out.read(path), content, "{path}");
    }
}

#[test]
fn several_heredocs_of_one_command_are_the_shells() {
    // BK-137 BK-138
    let out = Files::of(
        "FROM BASE/busybox AS build\nWORKDIR /dest\n\
         RUN cat <<EOF1 | tr '[:upper:]' '[:lower:]' > ./out1; \\\n\tcat <<EOF2 | tr '[:lower:]' '[:upper:]' > ./out2\n\
         hello WORLD\nEOF1\nHELLO world\nEOF2\n\
         RUN <<EOF 3<<IN1 4<<IN2 awk -f -\nBEGIN {\n  while ((getline line < \"/proc/self/fd/3\") > 0)\n\
         \x20   print tolower(line) > \"./fd3\"\n  while ((getline line < \"/proc/self/fd/4\") > 0)\n\
         \x20   print toupper(line) > \"./fd4\"\n}\nEOF\nhello WORLD\nIN1\nHELLO world\nIN2\n\
         FROM scratch\nCOPY --from=build /dest /\n",
        &[],
        &[],
    );
    for (path, content) in [
        ("out1", "hello world\n"),
        ("out2", "HELLO WORLD\n"),
        ("fd3", "hello world\n"),
        ("fd4", "HELLO WORLD\n"),
    ] {
        assert_eq!(out.read(path), content, "{path}");
    }
}

#[test]
fn a_dash_strips_leading_tabs() {
    // BK-139
    let out = Files::of(
        "FROM BASE/busybox AS build\nCOPY <<EOF /dest/copy\n\tfoo\n\tbar\nEOF\n\
         COPY <<-EOF /dest/copy-strip\n\tfoo\n\tbar\n\tEOF\n\
         RUN <<EOF\n\techo \"\n\tfoo\" > /dest/run\nEOF\nRUN <<-EOF\n\techo \"\n\tfoo\" > /dest/run-strip\n\tEOF\n\
         RUN <<EOF\n#!/bin/sh\necho \"\n\tfoo\" > /dest/bang\nEOF\n\
         RUN <<-EOF\n\t#!/bin/sh\n\techo \"\n\tfoo\" > /dest/bang-strip\n\tEOF\n\
         RUN <<EOF sh > /dest/pipe\necho \"\n\tfoo\"\nEOF\nRUN <<-EOF sh > /dest/pipe-strip\n\techo \"\n\tfoo\"\n\tEOF\n\
         FROM scratch\nCOPY --from=build /dest /\n",
        &[],
        &[],
    );
    assert_eq!(out.read("copy"), "\tfoo\n\tbar\n");
    assert_eq!(out.read("copy-strip"), "foo\nbar\n");
    for path in ["run", "bang", "pipe"] {
        assert_eq!(out.read(path), "\n\tfoo\n", "{path}");
        assert_eq!(out.read(&format!("{path}-strip")), "\nfoo\n", "{path}-strip");
    }
}

#[test]
fn variables_are_replaced_in_files_and_left_to_the_shell_in_scripts() {
    // BK-140
    let out = Files::of(
        "FROM BASE/busybox AS build\nARG name=world\nCOPY <<EOF /dest/plain\nHello ${name}!\nEOF\n\
         COPY <<'EOF' /dest/single\nHello ${name}!\nEOF\nCOPY <<\"EOF\" /dest/double\nHello ${name}!\nEOF\n\
         COPY <<EOF /dest/quotes\nHello '${name}' and \"${name}\"!\nEOF\n\
         RUN <<EOF\nname=\"new world\"; echo \"Hello ${name}!\" > /dest/script\nEOF\n\
         FROM scratch\nCOPY --from=build /dest /\n",
        &[],
        &[],
    );
    for (path, content) in [
        ("plain", "Hello world!\n"),
        ("single", "Hello ${name}!\n"),
        ("double", "Hello ${name}!\n"),
        ("quotes", "Hello 'world' and \"world\"!\n"),
        ("script", "Hello new world!\n"),
    ] {
        assert_eq!(out.read(path), content, "{path}");
    }
}

#[test]
fn a_trigger_may_have_a_heredoc() {
    // BK-141
    let base = pushed(
        "onbuild-heredoc",
        "FROM BASE/busybox\nONBUILD RUN <<EOF\necho \"hello world\" >> /dest\nEOF\n",
        &[],
    );
    let out = Files::of(&format!("FROM {base}\n"), &[], &[]);
    assert_eq!(out.read("dest"), "hello world\n");
}

#[test]
fn what_only_looks_like_a_heredoc_is_none() {
    // BK-326
    builds(
        "FROM BASE/busybox\nRUN echo \"<<NOHEREDOC\" > /a && [ \"$(cat /a)\" = '<<NOHEREDOC' ]\n\
         RUN [\"sh\", \"-c\", \"echo '<<EOF'\"]\nRUN <<'one two' cat > /b\nx\none two\nRUN [ $(cat /b) = x ]\n",
        &[],
        &[],
    );
    // BK-332: a line that ends one heredoc may be text of another.
    let out = Files::of("FROM scratch\nCOPY <<X <<Y /dest/\nY\nX\nX\nY\n", &[], &[]);
    assert_eq!(
        (out.read("dest/X"), out.read("dest/Y")),
        ("Y\n".to_owned(), "X\n".to_owned())
    );
    let lab = lab("FROM scratch\nCOPY <<EOF /x\nnever ends\n", &[]);
    lab.croze(&["build", "context"]).fails(3, &["unterminated heredoc"]);
}
