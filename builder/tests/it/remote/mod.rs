//! What comes from elsewhere: web files, git repositories, contexts that are not directories, ssh agents.

mod git;
mod ssh;
mod web;
